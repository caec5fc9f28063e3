//! Commands as the reference documents them: each command, each argument and each option, also where the
//! other rules do not think of it.

use std::sync::Arc;

use super::{Grammar, has_another_arity_now};
use crate::diff::documented::{Argument, Kind, Shape};
use crate::request::Command;

/// Commands that are left to other rules, or to none, because their replies or effects are each server's own.
const ELSEWHERE: &[&str] = &[
    // Of what it asks for, an own rule asks for all.
    "SPOP",
    // Cursors: own rules begin at the beginning.
    "HSCAN",
    "SCAN",
    "SSCAN",
    "ZSCAN",
    // Costs the product of the lengths, or waits for another server: own rules bound that.
    "LCS",
    "MIGRATE",
    // Own rules make what can be compared.
    "RESTORE",
    "SORT",
    "SORT_RO",
    "PFDEBUG",
    // Takes Redis seconds of processor time.
    "PFSELFTEST",
    // Texts for people, and inner figures.
    "OBJECT HELP",
    "XGROUP HELP",
    "XINFO HELP",
    "XINFO CONSUMERS",
    "XINFO STREAM",
    // Since Redis 7.2 not to before an entry that was deleted.
    "XSETID",
];

/// What means nothing but over members of one score, about which own rules are, or makes ids from the clock.
const TOKENS_ELSEWHERE: &[&[u8]] = &[b"BYLEX", b"*"];

/// Least arguments where one may be repeated, and the probability of each more.
const REPETITIONS: std::ops::Range<usize> = 1..4;

/// What was made of the command so far that later arguments refer to.
#[derive(Default)]
struct Counts {
    /// Keys, if their number was said or they were there already.
    keys: Option<usize>,
}

impl Grammar {
    /// A command out of those the reference documents, if there are any, and whether it may be spoilt further.
    pub(super) fn documented_command(&mut self) -> Option<(Command, bool)> {
        let documented = Arc::clone(&self.documented);
        let shape = documented.shapes.get(self.rng.usize(0..documented.shapes.len().max(1)))?;
        let name = String::from_utf8_lossy(&shape.name.join(&b' ')).into_owned();
        let is_elsewhere = ELSEWHERE.contains(&&*name);
        if self.one_in(12) && !(self.in_transaction && has_another_arity_now(&shape.name)) {
            // Made right by accident, it might wait, or let a key expire.
            return Some((self.with_wrong_arity(shape)?, false));
        }
        // What waits does so in a transaction only, where it does not.
        if is_elsewhere || (shape.is_blocking && !self.in_transaction) {
            return None;
        }
        let mut command = shape.name.clone();
        let mut counts = Counts::default();
        for argument in &shape.arguments {
            self.maybe_argument(argument, shape, &mut counts, &mut command);
        }
        Some((command, true))
    }

    /// Too few words, or too many where there is such a thing.
    fn with_wrong_arity(&mut self, shape: &Shape) -> Option<Command> {
        let least = usize::try_from(shape.arity.unsigned_abs()).ok()?;
        let mut count = self.rng.usize(shape.name.len()..=least);
        if count == least {
            if shape.arity < 0 {
                return None;
            }
            count += self.rng.usize(1..3);
        }
        let mut command = shape.name.clone();
        command.resize_with(count, || self.number(0, 9));
        Some(command)
    }

    fn maybe_argument(
        &mut self,
        argument: &Argument,
        shape: &Shape,
        counts: &mut Counts,
        command: &mut Command,
    ) {
        let is_elsewhere = argument.token.as_deref().is_some_and(is_elsewhere);
        if is_elsewhere || (argument.is_optional && !self.one_in(3)) {
            return;
        }
        let is_per_key = argument.is_multiple && !self.one_in(8);
        let count = match counts.keys {
            _ if !argument.is_multiple => 1,
            Some(keys) if is_per_key => keys,
            _ => self.rng.usize(REPETITIONS),
        };
        for index in 0..count {
            if let Some(token) = &argument.token
                && (index == 0 || argument.repeats_token)
            {
                command.push(token.clone());
            }
            self.argument(argument, shape, counts, command);
        }
        if argument.is_multiple && matches!(argument.kind, Kind::Key) {
            counts.keys = Some(count);
        }
    }

    fn argument(
        &mut self,
        argument: &Argument,
        shape: &Shape,
        counts: &mut Counts,
        command: &mut Command,
    ) {
        let name = &*argument.name;
        let word = match &argument.kind {
            Kind::Word => return,
            Kind::Block(parts) => {
                for part in parts {
                    self.maybe_argument(part, shape, counts, command);
                }
                return;
            }
            Kind::OneOf(choices) => {
                // At times two of them, which exclude each other.
                let several = if self.one_in(8) { 2 } else { 1 };
                for _ in 0..several {
                    let choice = &choices[self.rng.usize(0..choices.len())];
                    let choice = Argument { is_optional: false, ..choice.clone() };
                    self.maybe_argument(&choice, shape, counts, command);
                }
                return;
            }
            Kind::Integer if name == "numkeys" => {
                let keys = self.rng.usize(REPETITIONS);
                counts.keys = Some(keys);
                if self.one_in(8) { self.number(-1, 5) } else { keys.to_string().into_bytes() }
            }
            Kind::Key => self.key_for(shape),
            Kind::Integer | Kind::UnixTime => self.integer_for(name),
            Kind::Double => self.double_for(name),
            Kind::Pattern => self.pattern(),
            Kind::Text => self.text_for(name, &shape.group),
        };
        command.push(word);
    }

    /// Mostly a key of the command's own type.
    fn key_for(&mut self, shape: &Shape) -> Vec<u8> {
        if shape.name[0].windows(3).any(|part| part == b"LEX") {
            return self.lexical();
        }
        let any: &[fn(&mut Self) -> Vec<u8>] = &[
            Self::key,
            Self::list,
            Self::hash,
            Self::set_key,
            Self::sorted_set,
            Self::stream,
            Self::place,
            Self::hyperloglog,
        ];
        match &*shape.group {
            _ if self.one_in(5) => any[self.rng.usize(0..any.len())](self),
            b"list" => self.list(),
            b"hash" => self.hash(),
            b"set" => self.set_key(),
            b"sorted-set" => self.sorted_set(),
            b"stream" => self.stream(),
            b"geo" => self.place(),
            b"hyperloglog" => self.hyperloglog(),
            b"generic" => any[self.rng.usize(0..any.len())](self),
            _ => self.key(),
        }
    }

    fn integer_for(&mut self, name: &str) -> Vec<u8> {
        match name {
            // The time that passes between two commands decides about none of these.
            "min-idle-time" => self.pick(&[&b"0"[..], b"10000000000"]).to_vec(),
            "timeout" => b"1".to_vec(),
            "db" | "destination-db" | "index" if self.one_in(2) => self.database(),
            "offset" | "bit" => self.bit_offset(),
            "value" | "increment" | "decrement" if self.one_in(6) => {
                self.rng.i64(..).to_string().into_bytes()
            }
            _ if name.contains("unix-time") => self.instant(name.contains("milliseconds")),
            _ if name.contains("seconds") => self.duration(name.contains("milliseconds")),
            _ if self.one_in(10) => self.number(-1000, 1000),
            _ => self.number(-3, 12),
        }
    }

    fn double_for(&mut self, name: &str) -> Vec<u8> {
        match name {
            "timeout" => b"0.01".to_vec(),
            "longitude" => self.number(-180, 180),
            "latitude" => self.number(-85, 85),
            "radius" | "width" | "height" => self.number(0, 9_000),
            _ => self.score(),
        }
    }

    fn text_for(&mut self, name: &str, group: &[u8]) -> Vec<u8> {
        match (name, group) {
            ("group", _) => self.group(),
            ("consumer", _) => self.consumer(),
            ("encoding", _) => {
                let sign = self.pick(&["u", "i"]);
                format!("{sign}{}", self.rng.u8(0..66)).into_bytes()
            }
            ("field", b"stream") | (_, b"string") => self.value(),
            (_, b"stream") if name.contains("id") && self.one_in(3) => self.pending_id(),
            ("start" | "end" | "threshold", b"stream") => self.bound(),
            (_, b"stream") => self.entry_id(),
            ("min" | "max", b"sorted-set") if self.one_in(2) => self.lexical_bound(),
            ("min" | "max" | "start" | "stop", b"sorted-set") => self.score_bound(),
            (_, b"sorted-set" | b"geo") => self.sorted_member(),
            (_, b"set") => self.set_member(),
            ("field", _) => self.field(),
            (_, b"list") => self.element(),
            _ => self.value(),
        }
    }
}

fn is_elsewhere(token: &[u8]) -> bool {
    TOKENS_ELSEWHERE.contains(&token)
}
