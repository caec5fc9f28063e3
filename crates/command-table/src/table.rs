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
    /// The number its calls are counted under: its own, or that of its container.
    pub counted_as: CommandId,
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

/// Where a command's name may stand. The word is in the place so that a lookup reads no name.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The name's [`word`].
    word: u64,
    /// Index into the entries plus one; 0 when nothing stands here.
    index: u16,
}

/// Every command of the server. Built once at start, never changed, shared by all workers.
#[derive(Debug)]
pub struct Table {
    entries: Vec<Entry>,
    /// Commands that a rename has taken from everybody. Rules about users may still name them.
    withdrawn: Vec<Entry>,
    /// Open addressing with linear probing from `place_of(word)` on.
    places: Box<[Place]>,
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
        let named = names_after(families, renames)?;
        let is_named = |command: &'static Command| {
            named.iter().any(|(known, _)| std::ptr::eq(*known, command))
        };
        let withdrawn = families.iter().flat_map(|family| family.iter().copied());
        let withdrawn: Vec<_> = withdrawn.filter(|command| !is_named(command)).collect();
        let entries: Vec<Entry> = named
            .into_iter()
            .map(|(command, name)| Entry { name, ..Entry::new(command, None, &mut next) })
            .collect();
        let withdrawn =
            withdrawn.into_iter().map(|command| Entry::new(command, None, &mut next)).collect();
        Ok(Self::of(entries, withdrawn, next))
    }

    fn of(entries: Vec<Entry>, withdrawn: Vec<Entry>, next: u16) -> Self {
        let mut table = Self {
            places: vec![Place { word: 0, index: 0 }; (entries.len() * 4).next_power_of_two()]
                .into_boxed_slice(),
            entries,
            withdrawn,
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
        let wanted = word(name);
        let mut at = place_of(wanted) & mask;
        loop {
            let Place { word, index } = self.places[at];
            let entry = &self.entries[usize::from(index.checked_sub(1)?)];
            if word == wanted
                && (name.len() <= WORD_NAME_BYTES_MAX
                    || entry.name.as_bytes().eq_ignore_ascii_case(name))
            {
                return Some(entry);
            }
            at = (at + 1) & mask;
        }
    }

    /// The command or subcommand with this full name (`client|kill`), in any case.
    pub fn full_named(&self, full_name: &[u8]) -> Option<&Entry> {
        match full_name.iter().position(|byte| *byte == b'|') {
            None => self.named(full_name),
            Some(bar) => self.named(&full_name[..bar])?.subcommand(&full_name[bar + 1..]),
        }
    }

    /// Every command, without subcommands, whatever it was renamed to.
    pub fn originals(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().chain(&self.withdrawn)
    }

    /// The command or subcommand whose own name this is (`client|kill`), in any case and whatever it was renamed to.
    pub fn original(&self, full_name: &[u8]) -> Option<&Entry> {
        let mut words = full_name.splitn(2, |byte| *byte == b'|');
        let name = words.next()?;
        let is_meant = |entry: &&Entry| entry.command.name.as_bytes().eq_ignore_ascii_case(name);
        let entry = self.originals().find(is_meant)?;
        words.next().map_or(Some(entry), |subcommand| entry.subcommand(subcommand))
    }

    fn place(&mut self, index: usize) {
        let name = self.entries[index].name;
        assert!(self.named(name.as_bytes()).is_none(), "two commands are named {name}");
        let mask = self.places.len() - 1;
        let word = word(name.as_bytes());
        let mut at = place_of(word) & mask;
        while self.places[at].index != 0 {
            at = (at + 1) & mask;
        }
        let index = u16::try_from(index + 1).expect("fewer than 65,535 commands");
        self.places[at] = Place { word, index };
    }
}

/// What a subcommand has from its container.
struct Container {
    full_name: String,
    /// What subcommands are counted as, if not as themselves.
    counted_as: Option<CommandId>,
}

impl Entry {
    fn new(command: &'static Command, container: Option<&Container>, next: &mut u16) -> Self {
        let own = command.name.to_ascii_lowercase();
        let full_name =
            container.map_or_else(|| own.clone(), |outer| format!("{}|{own}", outer.full_name));
        let id = CommandId(*next);
        *next += 1;
        let counted_as = container.and_then(|outer| outer.counted_as).unwrap_or(id);
        let this =
            Container { full_name, counted_as: command.counts_subcommands.then_some(counted_as) };
        let single_key = match command.handler {
            Handler::Keyed(_) => command.single_key(),
            _ => None,
        };
        Self {
            id,
            counted_as,
            command,
            name: command.name,
            single_key: single_key
                .map(|index| u8::try_from(index).expect("a fixed key is among the first args")),
            subcommands: command
                .subcommands
                .iter()
                .map(|subcommand| Self::new(subcommand, Some(&this), next))
                .collect(),
            full_name: this.full_name,
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

/// Names of up to this many bytes are their [`word`].
const WORD_NAME_BYTES_MAX: usize = 7;

/// A name as one number, the same in any case. That of a short name is its bytes in lower case and its
/// length, so no two of them have the same; that of a longer one, which begins with a byte no short one
/// begins with, is mixed from its first and last bytes.
#[inline]
fn word(name: &[u8]) -> u64 {
    match *name {
        [] => 0,
        [_, ..] if name.len() > WORD_NAME_BYTES_MAX => {
            let first = name.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            let last = name.last_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            let mixed = lower_case(first) ^ lower_case(last).rotate_left(29) ^ name.len() as u64;
            mixed | (0xFF << 56)
        }
        [first, .., last] if name.len() < 4 => {
            let middle = name.len() / 2;
            let bytes = u64::from(first)
                | u64::from(name[middle]) << (8 * middle)
                | u64::from(last) << (8 * (name.len() - 1));
            short_word(bytes, name.len())
        }
        [only] => short_word(u64::from(only), 1),
        _ => {
            let first = name.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
            let last = name.last_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
            // Bytes that are in both are the same in both.
            let bytes = u64::from(first) | u64::from(last) << (8 * (name.len() - 4));
            short_word(bytes, name.len())
        }
    }
}

#[inline]
fn short_word(bytes: u64, len: usize) -> u64 {
    lower_case(bytes) | (len as u64) << 56
}

/// Each of the eight bytes in lower case, if it is an ASCII letter.
#[inline]
fn lower_case(bytes: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let low_bits = bytes & (0x7F * EACH);
    // The highest bit of each byte: set from `A` on, from behind `Z` on, in ASCII.
    let from_a = low_bits + (0x80 - u64::from(b'A')) * EACH;
    let behind_z = low_bits + (0x7F - u64::from(b'Z')) * EACH;
    let is_ascii = !bytes & (0x80 * EACH);
    bytes | (((from_a ^ behind_z) & is_ascii) >> 2)
}

/// Where a word is looked for first. Command names are few and known, and probing is bounded by the
/// table, so nothing better is needed.
#[inline]
fn place_of(word: u64) -> usize {
    (word.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::{WORD_NAME_BYTES_MAX, lower_case, word};

    #[test]
    fn lower_case_changes_ascii_letters_only() {
        for byte in 0..=u8::MAX {
            let all = u64::from_le_bytes([byte; 8]);
            let expected = u64::from_le_bytes([byte.to_ascii_lowercase(); 8]);
            assert_eq!(lower_case(all), expected, "{byte:#x}");
        }
    }

    #[test]
    fn short_names_have_the_same_word_only_in_another_case() {
        let bytes = [b'\0', b'@', b'A', b'Z', b'[', b'`', b'a', b'z', b'{', 0x80, 0xC1, 0xFF];
        let mut names: Vec<Vec<u8>> = vec![Vec::new()];
        let mut begin = 0;
        for _ in 0..3 {
            let end = names.len();
            for place in begin..end {
                for byte in bytes {
                    let mut name = names[place].clone();
                    name.push(byte);
                    names.push(name);
                }
            }
            begin = end;
        }
        // Longer ones: every place takes every byte.
        for len in 4..=WORD_NAME_BYTES_MAX + 2 {
            for place in 0..len {
                for byte in bytes {
                    let mut name = vec![b'x'; len];
                    name[place] = byte;
                    names.push(name);
                }
            }
        }
        for one in &names {
            for other in &names {
                let same = one.eq_ignore_ascii_case(other);
                if same || one.len().min(other.len()) <= WORD_NAME_BYTES_MAX {
                    assert_eq!(word(one) == word(other), same, "{one:?} {other:?}");
                }
            }
        }
    }
}
