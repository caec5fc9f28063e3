//! Which commands a selector allows.

use crate::error::RuleError;
use crate::listed::Listed;
use darter_command_table::{Category, CommandId, Entry, Handler, Table};
use darter_resp::Args;
use std::collections::BTreeSet;

/// One bit for each command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Bits(Box<[u64]>);

impl Bits {
    fn filled(value: bool, table: &Table) -> Self {
        let word = if value { u64::MAX } else { 0 };
        Self(vec![word; table.len().div_ceil(64)].into_boxed_slice())
    }

    fn get(&self, id: CommandId) -> bool {
        self.0.get(id.index() / 64).is_some_and(|word| word >> (id.index() % 64) & 1 == 1)
    }

    fn set(&mut self, id: CommandId, value: bool) {
        let Some(word) = self.0.get_mut(id.index() / 64) else { return };
        let bit = 1 << (id.index() % 64);
        if value {
            *word |= bit;
        } else {
            *word &= !bit;
        }
    }
}

/// A command that is not allowed but with some first arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FirstArguments {
    id: CommandId,
    /// In lower case.
    words: BTreeSet<Box<[u8]>>,
}

/// The commands of a selector: the outcome of its rules, and those of the rules that matter to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commands {
    allowed: Bits,
    /// Whether it is all of them: nothing was taken away since.
    all: bool,
    /// Whether the rules begin with all of them, and take away, rather than the reverse.
    begins_with_all: bool,
    first_arguments: Vec<FirstArguments>,
    /// Behind `+@all` or `-@all`, in their order: what each is about, in lower case (`get`, `config|get`, `select|0`, `@read`),
    /// and whether it allows that.
    rules: Listed<Vec<u8>, bool>,
}

impl Commands {
    /// All of them.
    pub fn allow_all(&mut self, table: &Table) {
        *self = Self {
            allowed: Bits::filled(true, table),
            all: true,
            begins_with_all: true,
            ..Self::default()
        };
    }

    /// None.
    pub fn allow_none(&mut self) {
        *self = Self::default();
    }

    /// Whether it is all of them.
    pub const fn are_all(&self) -> bool {
        self.all
    }

    /// Does as a rule says that begins with `+` or `-`, which `allows` tells: `what` is a command, a command with a
    /// subcommand or a first argument, or a category.
    pub fn change(&mut self, allows: bool, what: &[u8], table: &Table) -> Result<(), RuleError> {
        if self.allowed.0.is_empty() {
            self.allowed = Bits::filled(false, table);
        }
        if let [b'@', name @ ..] = what {
            let category = Category::named(name).ok_or(RuleError::Unknown)?;
            self.change_category(table.originals(), category, allows);
            self.note(allows, what);
            return Ok(());
        }
        let last_bar = what.iter().rposition(|byte| *byte == b'|');
        let Some(bar) = last_bar.filter(|_| allows) else {
            let entry = table.original(what).ok_or(RuleError::Unknown)?;
            self.change_entry(entry, allows);
            self.note(allows, entry.full_name.as_bytes());
            return Ok(());
        };
        let (command, word) = (&what[..bar], &what[bar + 1..]);
        let entry = table.original(command).ok_or(RuleError::Unknown)?;
        if command.contains(&b'|') {
            return Err(RuleError::FirstArgumentOfSubcommand);
        }
        if word.is_empty() {
            return Err(RuleError::Syntax);
        }
        match entry.subcommand(word) {
            Some(subcommand) => self.change_entry(subcommand, true),
            None if matches!(entry.command.handler, Handler::Container) => {
                return Err(RuleError::Unknown);
            }
            None => self.allow_first_argument(entry.id, word),
        }
        self.note(true, what);
        Ok(())
    }

    fn change_category<'t>(
        &mut self,
        entries: impl Iterator<Item = &'t Entry>,
        category: Category,
        allows: bool,
    ) {
        for entry in entries {
            if entry.command.categories().has(category) {
                self.change_entry(entry, allows);
            }
            self.change_category(entry.subcommands.iter(), category, allows);
        }
    }

    fn change_entry(&mut self, entry: &Entry, allows: bool) {
        self.allowed.set(entry.id, allows);
        self.all &= allows;
        self.first_arguments.retain(|known| known.id != entry.id);
        for subcommand in &entry.subcommands {
            self.allowed.set(subcommand.id, allows);
        }
    }

    fn allow_first_argument(&mut self, id: CommandId, word: &[u8]) {
        let place = self.first_arguments.iter().position(|known| known.id == id);
        let place = place.unwrap_or_else(|| {
            self.first_arguments.push(FirstArguments { id, words: BTreeSet::new() });
            self.first_arguments.len() - 1
        });
        self.first_arguments[place].words.insert(word.to_ascii_lowercase().into());
    }

    /// Keeps a rule behind the others, of which those go that it makes void: about the same, or about its
    /// subcommands.
    fn note(&mut self, allows: bool, what: &[u8]) {
        let what = what.to_ascii_lowercase();
        self.rules.remove(&what);
        let within = [&*what, b"|"].concat();
        while let Some(known) =
            self.rules.first_from(&within).filter(|known| known.starts_with(&within))
        {
            let known = known.clone();
            self.rules.remove(&known);
        }
        self.rules.push(what, allows);
    }

    /// Whether a command may be run with these arguments.
    pub fn allow(&self, entry: &Entry, args: Args<'_>) -> bool {
        self.all || self.allowed.get(entry.id) || self.allow_first_argument_of(entry, args)
    }

    fn allow_first_argument_of(&self, entry: &Entry, args: Args<'_>) -> bool {
        let Some(argument) = args.get(1) else { return false };
        self.first_arguments
            .iter()
            .filter(|known| known.id == entry.id)
            .any(|known| known.words.iter().any(|word| word.eq_ignore_ascii_case(argument)))
    }

    /// The rules that come to this, each behind a space but the first.
    pub fn describe(&self) -> Vec<u8> {
        let mut text = if self.begins_with_all { b"+@all".to_vec() } else { b"-@all".to_vec() };
        for (what, allows) in self.rules.iter() {
            text.extend_from_slice(if *allows { b" +" } else { b" -" });
            text.extend_from_slice(what);
        }
        text
    }
}
