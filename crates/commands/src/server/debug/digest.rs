//! DEBUG DIGEST and DEBUG DIGEST-VALUE: signatures of data, equal for equal data.
//!
//! They are Redis's own (`debug.c`), so data can be compared between the two. A signature is 20
//! bytes. To *add* bytes to it is to exclude-or it with their SHA-1, which no order matters for; to
//! *mix* them in is to add them and hash the result, which makes all that was there before count.

use super::FLAGS;
use darter_base::DbIndex;
use darter_base::float::format_f64;
use darter_command_table::{
    Access, Arg, Arity, Call, Command, Group, Handler, KeySpec, ReplyResult, ShardView,
};
use darter_resp::ReplyWriter;
use darter_shard::{Boundary, Key, KeyHasher, Keyspace, Lifetime, ObjectRef, Type, ValueRef};
use darter_value::integer::IntegerText;
use darter_value::stream::StreamId;
use darter_value::{Element, Item};
use sha1::{Digest, Sha1};

/// The signature of everything.
pub static DIGEST: Command = Command {
    name: "DIGEST",
    group: Group::Server,
    summary: "A signature of all keys of all databases.",
    complexity: "O(N) where N is the size of the data; nothing else runs meanwhile.",
    arity: Arity::Exactly(2),
    flags: FLAGS,
    handler: Handler::AllShards(digest),
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
    ..Command::BASE
};

#[derive(Clone, Copy, Default)]
struct Signature([u8; 20]);

impl Signature {
    fn add(&mut self, bytes: &[u8]) {
        for (own, other) in self.0.iter_mut().zip(Sha1::digest(bytes)) {
            *own ^= other;
        }
    }

    fn mix(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = Sha1::digest(self.0).into();
    }

    /// Mixes in a value and whether its key has a deadline.
    fn mix_value(&mut self, value: ValueRef<'_>, lifetime: Lifetime) {
        self.mix(&number_of(value.value_type()).to_be_bytes());
        match value {
            ValueRef::Bytes(bytes) | ValueRef::Raw(bytes) => self.mix(bytes),
            ValueRef::Integer(integer) => {
                self.mix_element(Element::Packed(Item::Integer(integer)));
            }
            ValueRef::Object(ObjectRef::Large(string)) => self.mix(string.as_bytes()),
            ValueRef::Object(ObjectRef::List(list)) => {
                list.for_each(|element| self.mix_element(element));
            }
            ValueRef::Object(ObjectRef::Hash(hash)) => hash.for_each(i64::MIN, |field| {
                let mut own = Self::default();
                own.mix_element(Element::Packed(field.name));
                own.mix_element(field.value);
                if field.deadline.is_some() {
                    own.add(b"!!hexpire!!");
                }
                self.add(&own.0);
            }),
            ValueRef::Object(ObjectRef::Stream(stream)) => {
                for entry in stream.log().entries(StreamId::MIN, StreamId::MAX) {
                    let id = entry.id();
                    self.mix(format!("{}.{}", id.ms, id.seq).as_bytes());
                    for (field, value) in entry.fields() {
                        self.mix_element(Element::Packed(field));
                        self.mix_element(Element::Packed(value));
                    }
                }
            }
            ValueRef::Object(ObjectRef::Set(set)) => {
                set.for_each(|member| {
                    self.add(Element::Packed(member).bytes(&mut IntegerText::new()));
                });
            }
            ValueRef::Object(ObjectRef::SortedSet(set)) => {
                for (member, score) in set {
                    let mut pair = Self::default();
                    pair.mix_element(Element::Packed(member));
                    pair.mix(&format_f64(score));
                    self.add(&pair.0);
                }
            }
        }
        if matches!(lifetime, Lifetime::Until(_)) {
            self.add(b"!!expire!!");
        }
    }

    /// Mixes in an element.
    fn mix_element(&mut self, element: Element<'_>) {
        self.mix(element.bytes(&mut IntegerText::new()));
    }

    fn write(self, reply: &mut ReplyWriter<'_>) {
        use std::fmt::Write as _;
        let mut text = String::new();
        for byte in self.0 {
            write!(text, "{byte:02x}").expect("a string takes everything");
        }
        reply.simple(&text);
    }
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
    let mut whole = Signature::default();
    for number in 0..call.limits.databases {
        let db = DbIndex(number);
        if view.each().all(|shard| shard.keyspace(db, call.now).is_empty()) {
            continue;
        }
        whole.mix(&u32::from(number).to_be_bytes());
        for shard in view.each() {
            let hasher = shard.hasher().clone();
            add_database(&mut whole, &mut shard.keyspace(db, call.now), &hasher);
        }
    }
    whole.write(&mut call.reply);
    Ok(())
}

/// Adds the signatures of all keys of a database with their values.
fn add_database(whole: &mut Signature, keyspace: &mut Keyspace<'_>, hasher: &KeyHasher) {
    let mut boundary = Some(Boundary::START);
    while let Some(from) = boundary {
        let mut names: Vec<Box<[u8]>> = Vec::new();
        boundary = keyspace.for_each_slice(from, |name, _| names.push(name.into()));
        for name in names {
            let key = Key::new(hasher, &name);
            let lifetime = keyspace.lifetime(&key);
            if let Some(value) = keyspace.peek(&key) {
                let mut signature = Signature::default();
                signature.mix(&name);
                signature.mix_value(value, lifetime);
                whole.add(&signature.0);
            }
        }
    }
}

fn digest_value(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    call.reply.array(call.args.len() - 2);
    for index in 2..call.args.len() {
        let key = call.key(index);
        let mut signature = Signature::default();
        let mut keyspace = call.keyspace(view, &key);
        let lifetime = keyspace.lifetime(&key);
        if let Some(value) = keyspace.peek(&key) {
            signature.mix_value(value, lifetime);
        }
        signature.write(&mut call.reply);
    }
    Ok(())
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
