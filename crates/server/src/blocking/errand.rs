//! What has to be done to a shard on behalf of a client that is gone.
//!
//! Errands travel as jobs do and answer nobody. There are at most as many as connections that vanished while
//! they waited.

use super::waiter::Blocked;
use crate::job::Job;
use crate::mail::ShardPost;
use crate::worker::Core;
use darter_base::ShardId;
use darter_base::UnixMillis;
use darter_base::crc16::slot_of;
use darter_command_table::{Command, ShardView};
use darter_resp::{Output, OwnedArgs};
use darter_shard::Key;
use std::sync::Arc;

/// An errand.
#[derive(Debug)]
pub enum Errand {
    /// Those behind this one, which was about to be retried, are to be tried.
    Wake,
    /// What it took is to be put back where it came from.
    GiveBack(&'static Command, OwnedArgs),
}

impl Core {
    /// Lets those be tried who stand behind a waiter that was about to be retried.
    pub fn wake_those_behind(&self, waiter: &Arc<Blocked>, now: UnixMillis) {
        let args = waiter.args.as_args();
        let router = self.shared.router();
        let mut shards: Vec<ShardId> =
            waiter.keys.clone().map(|index| router.shard_of(slot_of(args.at(index)))).collect();
        shards.sort_unstable();
        shards.dedup();
        for shard in shards {
            self.post_errand(shard, waiter, now, Errand::Wake);
        }
    }

    /// Puts back what a command took whose client is gone, if it was anything and there is a way.
    pub fn give_back(&self, waiter: &Arc<Blocked>, reply: Output, now: UnixMillis) {
        let give_back = waiter.entry.command.waits.and_then(|waits| waits.give_back);
        let Some((give_back, taken)) = give_back.zip(scalars_of(reply)) else { return };
        let (command, args) = give_back(waiter.args.as_args(), taken.as_args());
        let shard = self.shared.router().shard_of(slot_of(taken.as_args().at(0)));
        self.post_errand(shard, waiter, now, Errand::GiveBack(command, args));
    }

    fn post_errand(&self, shard: ShardId, waiter: &Arc<Blocked>, now: UnixMillis, errand: Errand) {
        let job = Job {
            origin: waiter.origin,
            shared: self.shared,
            client: waiter.client,
            access: waiter.access.clone(),
            now,
            limits: Box::new(self.limits.get()),
            commands: Vec::new(),
            errand: Some(Box::new((Arc::clone(waiter), errand))),
            output: Output::new(),
            letters: Vec::new(),
        };
        let (cells, home) = (&self.shared.cells, self.shared.router().home_of(shard));
        cells.cell(shard).post(self.worker, job, home, &ShardPost(&self.post));
    }
}

/// Notes that the keys of a waiter which are in the shards of `view` are ready.
pub fn signal_keys(waiter: &Blocked, view: &mut ShardView<'_>) {
    let args = waiter.args.as_args();
    for index in waiter.keys.clone() {
        let bytes = args.at(index);
        if view.holds(|| slot_of(bytes)) {
            let shard = view.shard_of(|| slot_of(bytes));
            let key = Key::new(shard.hasher(), bytes);
            shard.signal(waiter.client.db, &key);
        }
    }
}

/// The strings and numbers of a reply that is made of arrays of them, in order; `None` when it is another, or
/// has none.
fn scalars_of(mut reply: Output) -> Option<OwnedArgs> {
    let mut bytes = Vec::with_capacity(reply.len());
    while !reply.is_empty() {
        let len = reply.first_chunk().len();
        bytes.extend_from_slice(reply.first_chunk());
        reply.advance(len);
    }
    let mut scalars = OwnedArgs::new();
    let mut rest = bytes.as_slice();
    while let Some((kind, tail)) = rest.split_first() {
        let line_len = tail.windows(2).position(|pair| pair == b"\r\n")?;
        let line = &tail[..line_len];
        rest = &tail[line_len + 2..];
        match kind {
            b'*' => {}
            b',' => scalars.push(line),
            b'$' => {
                let len: usize = str::from_utf8(line).ok()?.parse().ok()?;
                scalars.push(rest.get(..len)?);
                rest = rest.get(len + 2..)?;
            }
            _ => return None,
        }
    }
    (!scalars.as_args().is_empty()).then_some(scalars)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalars(reply: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut output = Output::new();
        output.extend(reply);
        let scalars = scalars_of(output)?;
        Some(scalars.as_args().iter().map(<[u8]>::to_vec).collect())
    }

    #[test]
    fn what_was_taken_is_read_from_the_reply() {
        let taken =
            |words: &[&str]| Some(words.iter().map(|word| word.as_bytes().to_vec()).collect());
        assert_eq!(scalars(b"*2\r\n$1\r\nk\r\n$4\r\na\r\nb\r\n"), taken(&["k", "a\r\nb"]));
        assert_eq!(
            scalars(b"*2\r\n$1\r\nk\r\n*2\r\n*2\r\n$1\r\na\r\n,1.5\r\n*2\r\n$0\r\n\r\n,inf\r\n"),
            taken(&["k", "a", "1.5", "", "inf"])
        );
        assert_eq!(scalars(b"-WRONGTYPE x\r\n"), None);
        assert_eq!(scalars(b"*-1\r\n"), None);
        assert_eq!(scalars(b""), None);
    }
}
