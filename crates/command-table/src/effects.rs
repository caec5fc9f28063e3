//! What a command leaves to be done again: in the log of changes, and for replicas.
//!
//! A command that changed something is done again by running it again, and that is what is recorded, unless it says
//! otherwise. It must say so if running it again could do something else: because it depends on the time, on
//! chance, on how values are kept, or because it waits. What it leaves instead are commands that do not, as Redis
//! propagates them (`Call::leave`).

use crate::call::Call;
use darter_shard::Loss;

/// Which deletions that nobody asked for are written down as UNLINK, the others as DEL (`lazyfree-lazy-*`): whoever
/// carries them out is to free what goes in the background, or at once. Here memory is always freed in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unlinks {
    /// Those of what has expired.
    pub expired: bool,
    /// Those of what was evicted.
    pub evicted: bool,
    /// Those that another command has done, which says so instead of itself.
    pub implied: bool,
}

impl Unlinks {
    /// All of them.
    pub const ALL: Self = Self { expired: true, evicted: true, implied: true };

    /// The command that deletes what went by itself.
    pub const fn command_for(self, loss: Loss) -> &'static [u8] {
        Self::command(match loss {
            Loss::Expired => self.expired,
            Loss::Evicted => self.evicted,
        })
    }

    const fn command(unlinks: bool) -> &'static [u8] {
        if unlinks { b"UNLINK" } else { b"DEL" }
    }
}

/// Commands to be run again instead of the one that runs, encoded as requests.
#[derive(Debug)]
pub struct Effects {
    unlinks: Unlinks,
    /// Whether the command itself is not recorded.
    replaces: bool,
    encoded: Vec<u8>,
    commands: usize,
}

impl Effects {
    /// None yet.
    pub const fn new(unlinks: Unlinks) -> Self {
        Self { unlinks, replaces: false, encoded: Vec::new(), commands: 0 }
    }

    /// What is added takes the command's place; nothing if nothing is.
    pub const fn instead(&mut self) -> &mut Self {
        self.replaces = true;
        self
    }

    /// Adds a command of these words, its name first.
    pub fn add(&mut self, words: &[&[u8]]) {
        self.add_with(words, [].into_iter());
    }

    /// Adds that `key` has expired: it was given a deadline that had passed.
    pub fn add_expired(&mut self, key: &[u8]) {
        self.add(&[self.unlinks.command_for(Loss::Expired), key]);
    }

    /// Adds that `key` is not there any more, which is all that the command has come to.
    pub fn add_deleted(&mut self, key: &[u8]) {
        self.add(&[Unlinks::command(self.unlinks.implied), key]);
    }

    /// Adds a command of `first` and then `rest`.
    pub fn add_with<'a>(
        &mut self,
        first: &[&'a [u8]],
        rest: impl ExactSizeIterator<Item = &'a [u8]>,
    ) {
        darter_resp::request::encode_into(&mut self.encoded, first.len() + rest.len(), {
            first.iter().copied().chain(rest)
        });
        self.commands += 1;
    }

    /// Whether they take the command's place; if not, there are none.
    pub const fn replace_command(&self) -> bool {
        self.replaces
    }

    /// The commands, one after the other, and how many they are.
    pub fn encoded(&self) -> (&[u8], usize) {
        (&self.encoded, self.commands)
    }
}

impl Call<'_> {
    /// Says what this command leaves instead of itself; nothing if `describe` adds nothing. To be called only when
    /// something has changed, at most once or each time for another part of the whole. Costs nothing while nobody records.
    #[inline]
    pub fn leave(&mut self, describe: impl FnOnce(&mut Effects)) {
        if let Some(effects) = &mut self.effects {
            describe(effects.instead());
        }
    }

    /// Whether somebody records what commands do.
    #[inline]
    pub const fn is_recorded(&self) -> bool {
        self.effects.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_encoded_one_after_the_other() {
        let mut effects = Effects::new(Unlinks::ALL);
        effects.add(&[b"DEL", b"k"]);
        effects.add_with(&[b"SREM", b"k"], [b"a".as_slice(), b"b"].into_iter());
        let expected =
            b"*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n*4\r\n$4\r\nSREM\r\n$1\r\nk\r\n$1\r\na\r\n$1\r\nb\r\n";
        assert_eq!(effects.encoded(), (expected.as_slice(), 2));
    }

    #[test]
    fn deletions_that_nobody_asked_for_are_called_as_it_is_set() {
        let unlinks = Unlinks { expired: true, evicted: false, implied: false };
        assert_eq!(unlinks.command_for(Loss::Expired), b"UNLINK");
        assert_eq!(unlinks.command_for(Loss::Evicted), b"DEL");
        let mut effects = Effects::new(unlinks);
        effects.add_expired(b"k");
        effects.add_deleted(b"l");
        let expected = b"*2\r\n$6\r\nUNLINK\r\n$1\r\nk\r\n*2\r\n$3\r\nDEL\r\n$1\r\nl\r\n";
        assert_eq!(effects.encoded(), (expected.as_slice(), 2));
    }
}
