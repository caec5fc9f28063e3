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
    /// What clients call it by: the command's own name, or another one a `rename-command` gave it.
    pub name: &'static str,
    /// The command's own name in lower case, with its container's: `get`, `client|kill`. Whatever it
    /// was renamed to, that is how it is listed and counted.
    pub full_name: String,
    /// The argument index of its key, if it always has exactly one and runs on its shard.
    pub single_key: Option<u8>,
    /// Its subcommands' entries.
    pub subcommands: Vec<Self>,
}

/// A command to be called by another name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// What it is called by so far, in any case.
    pub from: Vec<u8>,
    /// What it is to be called by; empty: by nothing, so that nobody can use it.
    pub to: Vec<u8>,
}

/// Why a command cannot be called by another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenameError {
    /// There is no command of the old name.
    NoSuchCommand,
    /// There is a command of the new name already.
    NameTaken,
    /// The new name is no text.
    NotText,
}

impl std::fmt::Display for RenameError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::NoSuchCommand => "No such command in rename-command",
            Self::NameTaken => "Target command name already exists",
            Self::NotText => "a command's name must be valid UTF-8",
        })
    }
}

impl std::error::Error for RenameError {}

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
        Self::renamed(families, &[]).expect("without renaming there is nothing to refuse")
    }

    /// A table of `families` in which `renames` were carried out one after the other. On an error
    /// the number is that of the rename that cannot be.
    ///
    /// # Panics
    /// When two commands have the same name to begin with.
    pub fn renamed(
        families: &[&[&'static Command]],
        renames: &[Rename],
    ) -> Result<Self, (usize, RenameError)> {
        let mut next = 0;
        let entries: Vec<Entry> = names_after(families, renames)?
            .into_iter()
            .map(|(command, name)| Entry { name, ..Entry::new(command, None, &mut next) })
            .collect();
        Ok(Self::of(entries, next))
    }

    fn of(entries: Vec<Entry>, next: u16) -> Self {
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
                        command: entry.name,
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
            if entry.name.as_bytes().eq_ignore_ascii_case(name) {
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
        let name = self.entries[index].name;
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
            name: command.name,
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

    /// Whether it waits for other clients with these arguments, when it finds nothing.
    pub fn may_wait(&self, args: Args<'_>) -> bool {
        self.command.waits.is_some_and(|waits| (waits.when)(args))
    }

    /// The subcommand named `name`, in any case.
    pub fn subcommand(&self, name: &[u8]) -> Option<&Self> {
        self.subcommands
            .iter()
            .find(|entry| entry.command.name.as_bytes().eq_ignore_ascii_case(name))
    }
}

/// Every command that can still be used, and what it is called by.
fn names_after(
    families: &[&[&'static Command]],
    renames: &[Rename],
) -> Result<Vec<(&'static Command, &'static str)>, (usize, RenameError)> {
    let mut named: Vec<(&'static Command, &'static str)> = families
        .iter()
        .flat_map(|family| family.iter())
        .map(|command| (*command, command.name))
        .collect();
    for (index, Rename { from, to }) in renames.iter().enumerate() {
        let position_of = |named: &[(&'static Command, &'static str)], wanted: &[u8]| {
            named.iter().position(|(_, name)| name.as_bytes().eq_ignore_ascii_case(wanted))
        };
        let position = position_of(&named, from).ok_or((index, RenameError::NoSuchCommand))?;
        if to.is_empty() {
            named.remove(position);
            continue;
        }
        if position_of(&named, to).is_some_and(|taken| taken != position) {
            return Err((index, RenameError::NameTaken));
        }
        let name = std::str::from_utf8(to).map_err(|_| (index, RenameError::NotText))?;
        // Names live as long as the table, which is as long as the process; there are few.
        named[position].1 = name.to_ascii_uppercase().leak();
    }
    Ok(named)
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
