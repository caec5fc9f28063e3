//! Commands as requests, in the one order in which they happened.

use darter_base::DbIndex;
use darter_base::number::format_u64;
use darter_command_table::{Effects, Unlinks};
use darter_resp::Args;
use darter_resp::request::encode_into;
use darter_shard::Gone;

/// Memory that is kept for the next requests.
const SPARE_BYTES_MAX: usize = 64 << 10;

/// Commands that happened as one step.
#[derive(Debug, Default)]
pub struct Group {
    encoded: Vec<u8>,
    /// Where commands of another database than the ones before begin.
    turns: Vec<(usize, DbIndex)>,
    commands: usize,
}

/// Requests on their way to the file of the log, or to replicas.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    bytes: Vec<u8>,
    /// The database of the last one; `None`: whoever reads on from here does not know.
    db: Option<DbIndex>,
    /// Where in the log they begin.
    begin: u64,
    /// Where among them another file begins.
    cut: Option<usize>,
    /// The second that was noted last.
    noted_second: i64,
}

/// Requests for one file.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) bytes: Vec<u8>,
    /// Whether what follows goes to another one.
    pub(crate) ends_file: bool,
}

impl Group {
    /// Whether nothing happened.
    pub const fn is_empty(&self) -> bool {
        self.commands == 0
    }

    /// Adds a command.
    pub fn add(&mut self, db: DbIndex, args: Args<'_>) {
        self.turn_to(db);
        encode_into(&mut self.encoded, args.len(), args.iter());
        self.commands += 1;
    }

    /// Adds what a command leaves instead of itself.
    pub fn add_effects(&mut self, db: DbIndex, effects: &Effects) {
        let (encoded, commands) = effects.encoded();
        if commands > 0 {
            self.turn_to(db);
            self.encoded.extend_from_slice(encoded);
            self.commands += commands;
        }
    }

    /// Adds the deletion of what went by itself.
    pub fn add_gone(&mut self, gone: &[Gone], unlinks: Unlinks) {
        for Gone { db, key, loss, fields } in gone {
            self.turn_to(*db);
            let name = if fields.is_empty() { unlinks.command_for(*loss) } else { b"HDEL" };
            let words = [name, key].into_iter().chain(fields.iter().map(AsRef::as_ref));
            encode_into(&mut self.encoded, 2 + fields.len(), words);
            self.commands += 1;
        }
    }

    fn turn_to(&mut self, db: DbIndex) {
        if self.turns.last().is_none_or(|(_, last)| *last != db) {
            self.turns.push((self.encoded.len(), db));
        }
    }
}

impl Requests {
    /// Adds one command.
    pub(crate) fn add(&mut self, db: DbIndex, args: Args<'_>) {
        self.select(db);
        encode_into(&mut self.bytes, args.len(), args.iter());
    }

    /// Adds what a command leaves instead of itself.
    pub(crate) fn add_effects(&mut self, db: DbIndex, effects: &Effects) {
        let (encoded, commands) = effects.encoded();
        if commands == 0 {
            return;
        }
        self.in_one(commands, |requests| {
            requests.select(db);
            requests.bytes.extend_from_slice(encoded);
        });
    }

    /// Adds commands that happened as one step, `in_one` or each for itself.
    pub(crate) fn add_group(&mut self, group: &Group, is_one_step: bool) {
        let commands = if is_one_step { group.commands } else { 1 };
        self.in_one(commands, |requests| {
            for (index, (begin, db)) in group.turns.iter().enumerate() {
                requests.select(*db);
                let end = group.turns.get(index + 1).map_or(group.encoded.len(), |next| next.0);
                requests.bytes.extend_from_slice(&group.encoded[*begin..end]);
            }
        });
    }

    /// Where in the log they end.
    pub(crate) const fn end(&self) -> u64 {
        self.begin + self.bytes.len() as u64
    }

    /// Bytes of memory for them.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.bytes.capacity() as u64
    }

    /// Adds a command that has nothing to do with a database.
    pub(crate) fn add_words(&mut self, words: &[&[u8]]) {
        encode_into(&mut self.bytes, words.len(), words.iter().copied());
    }

    /// Whoever reads on from here does not know the database.
    pub(crate) const fn forget_db(&mut self) {
        self.db = None;
    }

    /// Hands them to `take`.
    pub(crate) fn drain(&mut self, take: impl FnOnce(&[u8])) {
        take(&self.bytes);
        self.begin += self.bytes.len() as u64;
        self.bytes.clear();
        self.bytes.shrink_to(SPARE_BYTES_MAX);
    }

    /// What follows goes to another file than what is there.
    pub(crate) fn cut(&mut self) {
        self.db = None;
        self.cut = Some(self.bytes.len());
    }

    /// Forgets everything; the log goes on at `begin`.
    pub(crate) fn begin_at(&mut self, begin: u64) {
        *self = Self { begin, ..Self::default() };
    }

    /// Notes what time it is, for whoever wants the data as they were at some time.
    pub(crate) fn note_time(&mut self, second: i64) {
        if self.noted_second != second {
            self.noted_second = second;
            self.bytes.extend_from_slice(format!("#TS:{second}\r\n").as_bytes());
        }
    }

    /// Takes those for the present file; `spare` lends its memory.
    pub(crate) fn take(&mut self, mut spare: Vec<u8>) -> Taken {
        spare.clear();
        let cut = self.cut.take();
        if let Some(cut) = cut {
            spare.extend_from_slice(&self.bytes[cut..]);
        }
        let mut bytes = std::mem::replace(&mut self.bytes, spare);
        bytes.truncate(cut.unwrap_or(bytes.len()));
        self.begin += bytes.len() as u64;
        Taken { bytes, ends_file: cut.is_some() }
    }

    fn in_one(&mut self, commands: usize, add: impl FnOnce(&mut Self)) {
        if commands > 1 {
            encode_into(&mut self.bytes, 1, [b"MULTI".as_slice()]);
        }
        add(self);
        if commands > 1 {
            encode_into(&mut self.bytes, 1, [b"EXEC".as_slice()]);
        }
    }

    fn select(&mut self, db: DbIndex) {
        if self.db != Some(db) {
            let number = format_u64(db.0.into());
            encode_into(&mut self.bytes, 2, [b"SELECT".as_slice(), number.as_bytes()]);
            self.db = Some(db);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use darter_resp::OwnedArgs;
    use darter_shard::Loss;

    fn args(line: &str) -> OwnedArgs {
        line.split(' ').collect()
    }

    /// The words of all requests, a space between them.
    fn words(requests: &mut Requests) -> String {
        requests.cut();
        let bytes = requests.take(Vec::new()).bytes;
        let text = String::from_utf8(bytes).unwrap();
        let lines = text.split("\r\n").filter(|line| !line.starts_with(['*', '$']));
        lines.collect::<Vec<_>>().join(" ").trim_end().to_owned()
    }

    #[test]
    fn a_database_is_selected_when_it_changes() {
        let mut requests = Requests::default();
        requests.add(DbIndex(0), args("SET a 1").as_args());
        requests.add(DbIndex(0), args("SET b 1").as_args());
        requests.add(DbIndex(3), args("SET c 1").as_args());
        assert_eq!(words(&mut requests), "SELECT 0 SET a 1 SET b 1 SELECT 3 SET c 1");
        requests.add(DbIndex(3), args("SET d 1").as_args());
        assert_eq!(words(&mut requests), "SELECT 3 SET d 1");
    }

    #[test]
    fn a_cut_parts_files() {
        let mut requests = Requests::default();
        requests.add(DbIndex(0), args("SET a 1").as_args());
        let first = requests.end();
        requests.cut();
        requests.add(DbIndex(0), args("SET b 1").as_args());
        let end = requests.end();
        let taken = requests.take(Vec::new());
        assert_eq!((taken.bytes.len() as u64, taken.ends_file), (first, true));
        let taken = requests.take(taken.bytes);
        assert_eq!((taken.bytes.len() as u64, taken.ends_file), (end - first, false));
        assert!(taken.bytes.starts_with(b"*2\r\n$6\r\nSELECT\r\n"));
        assert_eq!(requests.end(), end);
        requests.begin_at(7);
        assert_eq!(requests.end(), 7);
    }

    #[test]
    fn what_happened_as_one_step_is_a_transaction() {
        let mut requests = Requests::default();
        let mut group = Group::default();
        assert!(group.is_empty());
        let gone =
            |key: &[u8], loss| [Gone { db: DbIndex(1), key: key.into(), loss, fields: Vec::new() }];
        group.add_gone(&gone(b"k", Loss::Expired), Unlinks { expired: false, ..Unlinks::ALL });
        requests.add_group(&group, true);
        assert_eq!(words(&mut requests), "SELECT 1 DEL k");
        group.add(DbIndex(2), args("INCR k").as_args());
        requests.add_group(&group, true);
        assert_eq!(words(&mut requests), "MULTI SELECT 1 DEL k SELECT 2 INCR k EXEC");
        requests.add_group(&group, false);
        assert_eq!(words(&mut requests), "SELECT 1 DEL k SELECT 2 INCR k");
        let mut effects = Effects::new(Unlinks::ALL);
        requests.add_effects(DbIndex(0), &effects);
        assert!(requests.bytes.is_empty());
        effects.add(&[b"HDEL", b"h", b"f"]);
        effects.add(&[b"DEL", b"l"]);
        requests.add_effects(DbIndex(0), &effects);
        assert_eq!(words(&mut requests), "MULTI SELECT 0 HDEL h f DEL l EXEC");
        let mut group = Group::default();
        group.add_gone(&gone(b"e", Loss::Evicted), Unlinks::ALL);
        requests.add_group(&group, true);
        assert_eq!(words(&mut requests), "SELECT 1 UNLINK e");
    }
}
