//! DEBUG DIGEST and DEBUG DIGEST-VALUE: signatures of data, equal for equal data.
//!
//! They are Redis's own (`debug.c`), so data can be compared between the two. A signature is 20
//! bytes. To *add* bytes to it is to exclude-or it with their SHA-1, which no order matters for; to
//! *mix* them in is to add them and hash the result, which makes all that was there before count.

use super::FLAGS;
use crate::generic::elements_of;
use crate::joint::{Operands, Work, work_in_slices};
use darter_base::float::format_f64;
use darter_base::{DbIndex, ShardId, UnixMillis};
use darter_command_table::{
    Access, Arg, Arity, Call, Command, Group, Handler, KeySpec, Progress, ReplyError, ReplyResult,
    ShardView, Slice,
};
use darter_resp::{Args, Protocol, ReplyWriter};
use darter_shard::{
    Boundary, Key, KeyHasher, Keyspace, Lifetime, ObjectRef, Reading, Shard, Type, ValueRef,
};
use darter_value::integer::IntegerText;
use darter_value::stream::StreamId;
use darter_value::{Element, End, Item, SetBoundary, Stream};
use sha1::{Digest, Sha1};
use std::ops::ControlFlow;

/// Elements that are mixed in in one step, about: half a millisecond's work.
const ELEMENTS_PER_STEP: usize = 1024;

/// Bytes of a string that are mixed in in one step.
const TEXT_BYTES_PER_STEP: usize = 256 << 10;

/// Small values of which signatures are made in one slice.
const KEYS_PER_SLICE: usize = 64;

/// The signature of everything.
pub static DIGEST: Command = Command {
    name: "DIGEST",
    group: Group::Server,
    summary: "A signature of all keys of all databases.",
    complexity: "O(N) where N is the size of the data.",
    arity: Arity::Exactly(2),
    flags: FLAGS,
    handler: Handler::AllShards(digest),
    slices: Some(everything_in_slices),
    ..Command::BASE
};

/// The signatures of some values.
pub static DIGEST_VALUE: Command = Command {
    name: "DIGEST-VALUE",
    group: Group::Server,
    summary: "Signatures of the values of keys.",
    complexity: "O(N) where N is the size of the values.",
    arity: Arity::AtLeast(2),
    flags: FLAGS,
    keys: &[KeySpec::range(2, -1, 1, Access::READ_ONLY)],
    args: &[Arg::key("key").optional().multiple()],
    handler: Handler::Keyed(digest_value),
    slices: Some(digest_in_slices),
    ..Command::BASE
};

#[derive(Clone, Copy, Default)]
struct Signature([u8; 20]);

impl Signature {
    fn add(&mut self, bytes: &[u8]) {
        self.add_hash(Sha1::digest(bytes).into());
    }

    fn mix(&mut self, bytes: &[u8]) {
        self.mix_hash(Sha1::digest(bytes).into());
    }

    /// Adds bytes of which this is the SHA-1.
    fn add_hash(&mut self, hash: [u8; 20]) {
        for (own, other) in self.0.iter_mut().zip(hash) {
            *own ^= other;
        }
    }

    /// Mixes in bytes of which this is the SHA-1.
    fn mix_hash(&mut self, hash: [u8; 20]) {
        self.add_hash(hash);
        self.0 = Sha1::digest(self.0).into();
    }

    /// Mixes in an element.
    fn mix_element(&mut self, element: Element<'_>) {
        self.mix(element.bytes(&mut IntegerText::new()));
    }

    fn write(&self, reply: &mut ReplyWriter<'_>) {
        use std::fmt::Write as _;
        let mut text = String::new();
        for byte in self.0 {
            write!(text, "{byte:02x}").expect("a string takes everything");
        }
        reply.simple(&text);
    }
}

/// The signature of a value, under way.
struct Digesting {
    signature: Signature,
    at: At,
}

/// What is mixed in next.
enum At {
    Begun,
    /// The bytes of a string from here on; what comes of those before.
    Text(Sha1, usize),
    Element(usize),
    Field(u64),
    SetMember(SetBoundary),
    Member(usize),
    Entry(StreamId),
    /// Nothing: it is whole.
    End,
}

impl Digesting {
    const fn new(signature: Signature) -> Self {
        Self { signature, at: At::Begun }
    }

    /// Mixes in some more of the same value, in the end whether its key has a deadline; whether there is more.
    fn go_on(&mut self, value: ValueRef<'_>, lifetime: Lifetime) -> bool {
        self.at = match (value, std::mem::replace(&mut self.at, At::End)) {
            (value, At::Begun) => self.begin(value),
            (ValueRef::Object(object), at) => self.go_on_in(object, at),
            (_, _) => At::End,
        };
        let is_whole = matches!(self.at, At::End);
        if is_whole && matches!(lifetime, Lifetime::Until(_)) {
            self.signature.add(b"!!expire!!");
        }
        !is_whole
    }

    fn begin(&mut self, value: ValueRef<'_>) -> At {
        self.signature.mix(&number_of(value.value_type()).to_be_bytes());
        match value {
            ValueRef::Bytes(bytes) | ValueRef::Raw(bytes) => self.signature.mix(bytes),
            ValueRef::Integer(integer) => {
                self.signature.mix_element(Element::Packed(Item::Integer(integer)));
            }
            ValueRef::Object(object) => {
                return match object {
                    ObjectRef::Large(_) => At::Text(Sha1::new(), 0),
                    ObjectRef::List(_) => At::Element(0),
                    ObjectRef::Hash(_) => At::Field(0),
                    ObjectRef::Set(_) => At::SetMember(SetBoundary::START),
                    ObjectRef::SortedSet(_) => At::Member(0),
                    ObjectRef::Stream(_) => At::Entry(StreamId::MIN),
                };
            }
        }
        At::End
    }

    fn go_on_in(&mut self, object: ObjectRef<'_>, at: At) -> At {
        let signature = &mut self.signature;
        match (object, at) {
            (ObjectRef::Large(text), At::Text(mut hash, from)) => {
                let text = text.as_bytes();
                let end = text.len().min(from + TEXT_BYTES_PER_STEP);
                hash.update(&text[from..end]);
                if end < text.len() {
                    return At::Text(hash, end);
                }
                signature.mix_hash(hash.finalize().into());
                At::End
            }
            (ObjectRef::List(list), At::Element(from)) => {
                let mut next = from;
                list.walk(End::Front, from, |element| {
                    signature.mix_element(element);
                    next += 1;
                    if next == from + ELEMENTS_PER_STEP {
                        return ControlFlow::Break(());
                    }
                    ControlFlow::Continue(())
                });
                if next < list.len() { At::Element(next) } else { At::End }
            }
            (ObjectRef::Hash(hash), At::Field(from)) => hash
                .for_each_slice(from, i64::MIN, |field| {
                    let mut own = Signature::default();
                    own.mix_element(Element::Packed(field.name));
                    own.mix_element(field.value);
                    if field.deadline.is_some() {
                        own.add(b"!!hexpire!!");
                    }
                    signature.add(&own.0);
                })
                .map_or(At::End, At::Field),
            (ObjectRef::Set(set), At::SetMember(from)) => set
                .for_each_slice(from, |member| {
                    signature.add(Element::Packed(member).bytes(&mut IntegerText::new()));
                })
                .map_or(At::End, At::SetMember),
            (ObjectRef::SortedSet(set), At::Member(from)) => {
                let end = set.len().min(from + ELEMENTS_PER_STEP);
                for (member, score) in set.range(from..end, false) {
                    let mut pair = Signature::default();
                    pair.mix_element(Element::Packed(member));
                    pair.mix(&format_f64(score));
                    signature.add(&pair.0);
                }
                if end < set.len() { At::Member(end) } else { At::End }
            }
            (ObjectRef::Stream(stream), At::Entry(from)) => mix_entries(signature, stream, from),
            _ => At::End,
        }
    }
}

/// Mixes in some entries of a stream from `from` on; what comes then.
fn mix_entries(signature: &mut Signature, stream: &Stream, from: StreamId) -> At {
    let mut mixed = 0;
    for entry in stream.log().entries(from, StreamId::MAX) {
        let id = entry.id();
        if mixed >= ELEMENTS_PER_STEP {
            return At::Entry(id);
        }
        signature.mix(format!("{}.{}", id.ms, id.seq).as_bytes());
        mixed += 1;
        for (field, value) in entry.fields() {
            signature.mix_element(Element::Packed(field));
            signature.mix_element(Element::Packed(value));
            mixed += 2;
        }
    }
    At::End
}

/// Redis's number of a type.
const fn number_of(value_type: Type) -> u32 {
    match value_type {
        Type::String => 0,
        Type::List => 1,
        Type::Set => 2,
        Type::SortedSet => 3,
        Type::Hash => 4,
        Type::Stream => 6,
    }
}

fn digest(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let mut walk = Walk::new(call);
    // How much there is in the keys shows when it is read.
    let is_empty = !(0..call.limits.databases).any(|db| has_keys(view, DbIndex(db), call.now));
    call.in_one_piece(if is_empty { 0 } else { usize::MAX })?;
    while walk.step(view, call.now) {}
    walk.whole.write(&mut call.reply);
    Ok(())
}

/// Begins DIGEST where there are keys.
fn everything_in_slices(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    Ok(Box::new(LongWalk { walk: Walk::new(call), since: call.now, reading: None }))
}

/// Small values, or as much of bigger ones, that are added in one step of a walk.
const VALUES_PER_STEP: usize = 256;

/// About so many elements of a collection are as much work as a small value.
const ELEMENTS_PER_VALUE: usize = 8;

/// All keys of all databases on their way into a signature.
struct Walk {
    whole: Signature,
    hasher: KeyHasher,
    shards: Vec<ShardId>,
    databases: u16,
    /// The database that is walked; `databases` at the end.
    db: u16,
    /// The place in `shards` of the one that is walked; past the end when the next database is to come.
    shard: usize,
    /// Where the walk goes on there; `None` at its end.
    boundary: Option<Boundary>,
    /// Keys that were found there and not added yet.
    names: Vec<Box<[u8]>>,
    /// The last of them, if it is under way.
    next: Option<Digesting>,
}

impl Walk {
    fn new(call: &Call<'_>) -> Self {
        let shards: Vec<_> = call.router.shards().collect();
        Self {
            whole: Signature::default(),
            hasher: call.hasher.clone(),
            databases: call.limits.databases,
            db: 0,
            shard: shards.len(),
            shards,
            boundary: None,
            names: Vec::new(),
            next: None,
        }
    }

    /// From the beginning again.
    fn restart(&mut self) {
        self.whole = Signature::default();
        (self.db, self.shard, self.boundary) = (0, self.shards.len(), None);
        self.names.clear();
        self.next = None;
    }

    /// Walks on; whether there is more.
    fn step(&mut self, view: &mut ShardView<'_>, now: UnixMillis) -> bool {
        let mut left = VALUES_PER_STEP;
        while left > 0 {
            let cost = if self.names.is_empty() {
                if !self.find_keys(view, now) {
                    return false;
                }
                1
            } else {
                let mut keyspace =
                    view.shard(self.shards[self.shard]).keyspace(DbIndex(self.db), now);
                self.add_key(&mut keyspace)
            };
            left = left.saturating_sub(cost);
        }
        true
    }

    /// Goes to the next keys, if there are some near enough; whether it is not at the end.
    fn find_keys(&mut self, view: &mut ShardView<'_>, now: UnixMillis) -> bool {
        if let Some(from) = self.boundary {
            let names = &mut self.names;
            let keyspace = view.shard(self.shards[self.shard]).keyspace(DbIndex(self.db), now);
            self.boundary = keyspace.for_each_slice(from, |name, _| names.push(name.into()));
        } else if self.shard + 1 < self.shards.len() {
            (self.shard, self.boundary) = (self.shard + 1, Some(Boundary::START));
        } else {
            // Behind the last shard of a database, or before the first one.
            self.db += u16::from(self.shard < self.shards.len());
            self.shard = self.shards.len();
            while self.db < self.databases && !has_keys(view, DbIndex(self.db), now) {
                self.db += 1;
            }
            if self.db == self.databases {
                return false;
            }
            self.whole.mix(&u32::from(self.db).to_be_bytes());
            (self.shard, self.boundary) = (0, Some(Boundary::START));
        }
        true
    }

    /// Adds the last key that was found with its value, or goes on with it; how many small values' work that was.
    fn add_key(&mut self, keyspace: &mut Keyspace<'_>) -> usize {
        let Some(name) = self.names.last() else { return 0 };
        let key = Key::new(&self.hasher, name);
        let lifetime = keyspace.lifetime(&key);
        let mut cost = 1;
        if let Some(value) = keyspace.peek(&key) {
            let digesting = self.next.get_or_insert_with(|| {
                let mut signature = Signature::default();
                signature.mix(name);
                Digesting::new(signature)
            });
            cost += elements_of(value).min(ELEMENTS_PER_STEP) / ELEMENTS_PER_VALUE;
            if digesting.go_on(value, lifetime) {
                return cost;
            }
            self.whole.add(&digesting.signature.0);
        }
        self.next = None;
        self.names.pop();
        cost
    }
}

fn has_keys(view: &mut ShardView<'_>, db: DbIndex, now: UnixMillis) -> bool {
    view.each().any(|shard| !shard.keyspace(db, now).is_empty())
}

/// A walk in slices over all shards, which note meanwhile whether anything changes.
struct LongWalk {
    walk: Walk,
    /// When it began: what expires meanwhile is still there.
    since: UnixMillis,
    /// `None` before the first slice.
    reading: Option<Reading>,
}

impl Slice for LongWalk {
    fn begin(&self) -> Progress {
        Progress::Together
    }

    fn shards(&self) -> Vec<ShardId> {
        self.walk.shards.clone()
    }

    fn run(&mut self, _: Args<'_>, _: &mut Shard, _: UnixMillis) -> Progress {
        unreachable!("it asks for all of its shards")
    }

    fn run_together(&mut self, view: &mut ShardView<'_>, now: UnixMillis) -> Progress {
        let databases = (0..self.walk.databases).map(DbIndex);
        let is_whole = self.reading.as_ref().is_some_and(Reading::has_changed);
        if is_whole {
            self.walk.restart();
            self.since = now;
        } else if self.reading.is_none() {
            let reading = Reading::default();
            for shard in view.each() {
                databases.clone().for_each(|db| shard.note_all_read(db, &reading));
            }
            self.reading = Some(reading);
            self.since = now;
        }
        while self.walk.step(view, self.since) {
            if !is_whole {
                return Progress::Together;
            }
        }
        self.reading = None;
        for shard in view.each() {
            databases.clone().for_each(|db| shard.end_readings(db));
        }
        Progress::Done
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        self.walk.whole.write(reply);
    }
}

fn digest_value(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let mut elements = 0;
    for index in 2..call.args.len() {
        let key = call.key(index);
        elements += call.keyspace(view, &key).peek(&key).map_or(0, elements_of);
    }
    call.in_one_piece(elements)?;
    call.reply.array(call.args.len() - 2);
    for index in 2..call.args.len() {
        let key = call.key(index);
        let mut keyspace = call.keyspace(view, &key);
        let lifetime = keyspace.lifetime(&key);
        let mut digesting = Digesting::new(Signature::default());
        if let Some(value) = keyspace.peek(&key) {
            while digesting.go_on(value, lifetime) {}
        }
        digesting.signature.write(&mut call.reply);
    }
    Ok(())
}

/// Begins DIGEST-VALUE of big values.
fn digest_in_slices(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    let work = LongDigest { whole: Vec::new(), next: Digesting::new(Signature::default()) };
    Ok(work_in_slices(call, 2..call.args.len(), None, work))
}

struct LongDigest {
    /// Of the first keys.
    whole: Vec<Signature>,
    /// Of the next one.
    next: Digesting,
}

impl Work for LongDigest {
    fn begin(&mut self) {
        self.whole.clear();
        self.next = Digesting::new(Signature::default());
    }

    fn step(&mut self, operands: &Operands<'_>, _: Protocol) -> Result<bool, ReplyError> {
        let keys = operands.values().zip(operands.lifetimes()).skip(self.whole.len());
        for (value, lifetime) in keys.take(KEYS_PER_SLICE) {
            if let Some(value) = value
                && self.next.go_on(value, *lifetime)
            {
                return Ok(true);
            }
            let begun = Digesting::new(Signature::default());
            self.whole.push(std::mem::replace(&mut self.next, begun).signature);
        }
        Ok(self.whole.len() < operands.lifetimes().len())
    }

    fn store(&mut self, _: &mut Keyspace<'_>, _: &Key<'_>) {}

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        reply.array(self.whole.len());
        for signature in &self.whole {
            signature.write(reply);
        }
    }

    fn coming_bytes(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn signatures_are_those_of_redis() {
        transcript(
            r#"
            DEBUG DIGEST            => +0000000000000000000000000000000000000000
            DEBUG DIGEST-VALUE      => *0
            DEBUG DIGEST-VALUE k    => *1 +0000000000000000000000000000000000000000
            SET k foo               => +OK
            DEBUG DIGEST-VALUE k    => *1 +b7f507e4e114eaf82bb9a21d385c60ee2545432e
            DEBUG DIGEST            => +d69d71d9e09587949763e541bf495daec7e6bcdc
            MSET k 12345 l xyz m "" => +OK
            EXPIRE k 100            => :1
            DEBUG DIGEST-VALUE k l m => *3 +074a6e8892a0b0b4fcf085794cb69322c36c9d00 +b04db56b32ff9335e14da7729d0eeb1a8915c3cf +8b3447c33a834b810e3e181b6fd6a2ee1020921c
            DEBUG DIGEST            => +384b3293dd3a454f1f250dffe26db8d8f48bdbb2
            @db 3
            SET z 1                 => +OK
            DEBUG DIGEST            => +cc3eb6dc37e9436d2eb54a5b6ebcbd699dcbf078
            "#,
        );
    }
}
