//! What commands leave to be done again, and doing it again.

use super::Bench;
use super::image::{Image, add_shard};
use darter_base::{DbIndex, UnixMillis};
use darter_command_table::{Effects, Unlinks};
use darter_resp::{Args, OwnedArgs};
use darter_shard::{Gone, News, NodeLimit};

/// A command that was recorded.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) db: DbIndex,
    pub(crate) words: OwnedArgs,
}

/// At which everything is done again: nothing is due then.
const REPLAY: UnixMillis = UnixMillis(0);

impl Bench {
    /// Records what went by itself while a command ran, or without one, and then what the command did, as the server
    /// does.
    pub(super) fn record(
        &mut self,
        news: News,
        command: Option<(Args<'_>, bool)>,
        effects: &Effects,
    ) {
        for Gone { db, key, loss, fields } in news.gone {
            let name = if fields.is_empty() { Unlinks::ALL.command_for(loss) } else { b"HDEL" };
            let words = [name, &key].into_iter().chain(fields.iter().map(AsRef::as_ref));
            self.recorded.push(Recorded { db, words: words.collect() });
        }
        let db = self.db;
        match command {
            _ if effects.replace_command() => {
                let words = requests(effects.encoded().0).into_iter();
                self.recorded.extend(words.map(|words| Recorded { db, words }));
            }
            Some((args, true)) => self.recorded.push(Recorded { db, words: args.into() }),
            _ => {}
        }
    }

    /// What was recorded since the last time, as transcripts show it.
    pub(crate) fn take_recorded(&mut self) -> (Vec<Recorded>, String) {
        let recorded = std::mem::take(&mut self.recorded);
        let commands: Vec<_> = recorded.iter().map(|command| command.shown(self.db)).collect();
        (recorded, commands.join(" ; "))
    }

    /// A server that does again what this one recorded. It has other shards, and its compact collections are smaller.
    pub(crate) fn replica(&self, shard_count: u16) -> Self {
        let mut replica = Self::new(shard_count);
        replica.now = REPLAY;
        replica.limits.replayed_at = Some(UnixMillis(self.now.0 + 1_000_000_000));
        replica.limits.string_bytes_max = u64::MAX;
        replica.limits.rdb_versions = darter_command_table::RdbVersions::Any;
        let encodings = &mut replica.limits.encodings;
        for limits in [&mut encodings.hash, &mut encodings.set, &mut encodings.sorted_set] {
            limits.entries_max = 2;
        }
        encodings.list = NodeLimit::of_parameter(2);
        encodings.intset_entries_max = 1;
        encodings.stream_node_entries_max = 3;
        replica
    }

    /// Does it again.
    pub(crate) fn replay(&mut self, recorded: &[Recorded]) {
        for command in recorded {
            self.db = command.db;
            let reply = self.run_args(command.words.as_args());
            let is_error = reply.starts_with(b"-");
            assert!(!is_error, "{} : {}", command.shown(self.db), super::shown(&reply));
        }
        self.recorded.clear();
    }

    /// Deletes what has expired.
    pub(crate) fn expire(&mut self) {
        for index in 0..self.shards.len() {
            let shard = &mut self.shards[index].shard;
            shard.observe(darter_shard::Interest::GONE);
            while shard.expire_slice(self.now, 100).more {}
            let news = shard.take_news();
            shard.observe(darter_shard::Interest::NONE);
            self.record(news, None, &Effects::new(Unlinks::ALL));
        }
    }

    /// All that it holds.
    pub(crate) fn image(&mut self) -> Image {
        let mut image = Image::new();
        for held in &mut self.shards {
            add_shard(&mut image, &mut held.shard, &self.hasher);
        }
        image
    }
}

impl Recorded {
    /// As an inline request, with the database in front if it is not `db`.
    pub(crate) fn shown(&self, db: DbIndex) -> String {
        let mut words = Vec::new();
        if self.db != db {
            words.push(format!("[{}]", self.db.0));
        }
        for word in self.words.as_args().iter() {
            let text = word.escape_ascii().to_string();
            let is_bare = !text.is_empty() && !text.contains(' ');
            words.push(if is_bare { text } else { format!("\"{text}\"") });
        }
        words.join(" ")
    }
}

/// The requests in `bytes`, which are whole.
fn requests(mut bytes: &[u8]) -> Vec<OwnedArgs> {
    let mut requests = Vec::new();
    while !bytes.is_empty() {
        let count = header(&mut bytes, b'*');
        let mut words = OwnedArgs::new();
        for _ in 0..count {
            let len = header(&mut bytes, b'$');
            words.push(&bytes[..len]);
            bytes = &bytes[len + 2..];
        }
        requests.push(words);
    }
    requests
}

fn header(bytes: &mut &[u8], mark: u8) -> usize {
    assert_eq!(bytes[0], mark);
    let end = bytes.iter().position(|byte| *byte == b'\r').unwrap();
    let number = str::from_utf8(&bytes[1..end]).unwrap().parse().unwrap();
    *bytes = &bytes[end + 2..];
    number
}
