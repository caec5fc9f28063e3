//! Looking a command up by the name a client sent.

use crate::command::{Command, Handler};
use crate::error::ReplyError;
use darter_resp::Args;

/// A command's dense number, `0..table.len()`: an index for per-command statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CommandId(pub u16);

impl CommandId {
    /// As an index into an array with one element per command.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One command or subcommand in the table.
#[derive(Debug)]
pub struct Entry {
    /// Its number.
    pub id: CommandId,
    /// What it is.
    pub command: &'static Command,
    /// The name in lower case, with its container's: `get`, `client|kill`.
    pub full_name: String,
    /// The argument index of its key, if it always has exactly one and runs on its shard.
    pub single_key: Option<u8>,
    /// Its subcommands' entries.
    pub subcommands: Vec<Self>,
}

/// The answer to a lookup.
pub type Found<'t> = Result<&'t Entry, ReplyError>;

/// Every command of the server. Built once at start, never changed, shared by all workers.
#[derive(Debug)]
pub struct Table {
    entries: Vec<Entry>,
    /// Open addressing with linear probing over `hash(name)`: index into `entries` plus one.
    places: Box<[u16]>,
    len: usize,
}

impl Table {
    /// A table of `families`, each a list of commands.
    ///
    /// # Panics
    /// When two commands have the same name.
    pub fn new(families: &[&[&'static Command]]) -> Self {
        let mut next = 0;
        let entries: Vec<Entry> = families
            .iter()
            .flat_map(|family| family.iter())
            .map(|command| Entry::new(command, None, &mut next))
            .collect();
        let mut table = Self {
            places: vec![0; (entries.len() * 4).next_power_of_two()].into_boxed_slice(),
            entries,
            len: usize::from(next),
        };
        for index in 0..table.entries.len() {
            table.place(index);
        }
        table
    }

    /// Number of commands and subcommands.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no command at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Every command, without subcommands, in the order of the families.
    pub fn commands(&self) -> &[Entry] {
        &self.entries
    }

    /// The command these arguments ask for, a subcommand if it has any, with its arity checked.
    #[inline]
    pub fn find(&self, args: Args<'_>) -> Found<'_> {
        let Some(mut entry) = self.named(args.at(0)) else { return Err(unknown(args)) };
        if !entry.subcommands.is_empty()
            && let Some(name) = args.get(1)
        {
            match entry.subcommand(name) {
                Some(subcommand) => entry = subcommand,
                None if matches!(entry.command.handler, Handler::Container) => {
                    return Err(ReplyError::UnknownSubcommand {
                        subcommand: name.to_vec(),
                        command: entry.command.name,
                    });
                }
                None => {}
            }
        }
        if !entry.command.arity.admits(args.len()) {
            return Err(ReplyError::WrongArity(entry.full_name.clone()));
        }
        Ok(entry)
    }

    /// The command named `name`, in any case.
    #[inline]
    pub fn named(&self, name: &[u8]) -> Option<&Entry> {
        let mask = self.places.len() - 1;
        let mut place = hash(name) & mask;
        loop {
            let index = self.places[place].checked_sub(1)?;
            let entry = &self.entries[usize::from(index)];
            if entry.command.name.as_bytes().eq_ignore_ascii_case(name) {
                return Some(entry);
            }
            place = (place + 1) & mask;
        }
    }

    /// The command or subcommand with this full name (`client|kill`), in any case.
    pub fn full_named(&self, full_name: &[u8]) -> Option<&Entry> {
        match full_name.iter().position(|byte| *byte == b'|') {
            None => self.named(full_name),
            Some(bar) => self.named(&full_name[..bar])?.subcommand(&full_name[bar + 1..]),
        }
    }

    fn place(&mut self, index: usize) {
        let name = self.entries[index].command.name;
        assert!(self.named(name.as_bytes()).is_none(), "two commands are named {name}");
        let mask = self.places.len() - 1;
        let mut place = hash(name.as_bytes()) & mask;
        while self.places[place] != 0 {
            place = (place + 1) & mask;
        }
        self.places[place] = u16::try_from(index + 1).expect("fewer than 65,535 commands");
    }
}

impl Entry {
    fn new(command: &'static Command, container: Option<&str>, next: &mut u16) -> Self {
        let own = command.name.to_ascii_lowercase();
        let full_name = container.map_or_else(|| own.clone(), |outer| format!("{outer}|{own}"));
        let id = CommandId(*next);
        *next += 1;
        let single_key = match command.handler {
            Handler::Keyed(_) => command.single_key(),
            _ => None,
        };
        Self {
            id,
            command,
            single_key: single_key
                .map(|index| u8::try_from(index).expect("a fixed key is among the first args")),
            subcommands: command
                .subcommands
                .iter()
                .map(|subcommand| Self::new(subcommand, Some(&full_name), next))
                .collect(),
            full_name,
        }
    }

    /// The subcommand named `name`, in any case.
    pub fn subcommand(&self, name: &[u8]) -> Option<&Self> {
        self.subcommands
            .iter()
            .find(|entry| entry.command.name.as_bytes().eq_ignore_ascii_case(name))
    }
}

#[cold]
fn unknown(args: Args<'_>) -> ReplyError {
    // Only the beginning of the line is echoed; see `ReplyError`.
    ReplyError::UnknownCommand {
        name: args.at(0).iter().take(128).copied().collect(),
        args: args
            .tail(1)
            .iter()
            .take(128)
            .map(|arg| arg.iter().take(128).copied().collect())
            .collect(),
    }
}

/// Mixes length, first and last bytes without regard to case. Command names are few and known, and
/// probing is bounded by the table, so nothing better is needed.
#[inline]
fn hash(name: &[u8]) -> usize {
    let word = if name.len() >= 8 {
        let (first, last) = (name.first_chunk::<8>(), name.last_chunk::<8>());
        let first = first.map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let last = last.map_or(0, |bytes| u64::from_le_bytes(*bytes));
        (first | CASE) ^ (last | CASE).rotate_left(29)
    } else {
        let mut bytes = [0; 8];
        bytes[..name.len()].copy_from_slice(name);
        u64::from_le_bytes(bytes) | CASE
    };
    ((word ^ name.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize
}

/// The bit that tells lower from upper case, in every byte.
const CASE: u64 = 0x2020_2020_2020_2020;
