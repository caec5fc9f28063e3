//! HIMPORT: many hashes with the same fields, whose names the client says once.

use crate::commands::error::ServerError;
use crate::observed::{Cause, work_observed_for};
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_base::crc16::slot_of;
use darter_command_table::{
    Access, Arg, Arity, Category, Command, Flags, Group, Handler, KeySpec, ReplyError, ShardView,
};
use darter_shard::{Expiry, Interest, Key};
use darter_value::Hash;
use darter_value::hash::{FieldExpiry, HashGrowth};

/// The container and its subcommands.
pub static COMMANDS: &[&SessionCommand] = &[&HIMPORT, &PREPARE, &SET, &DISCARD, &DISCARDALL];

/// What the subcommands have in common.
const BASE: Command = Command {
    group: Group::Hash,
    since: "8.10.0",
    acl: Category::HASH,
    handler: Handler::Session,
    ..Command::BASE
};

/// Commands about fieldsets.
static HIMPORT: SessionCommand = SessionCommand::container(Command {
    name: "HIMPORT",
    summary: "A container for commands that write hashes with the same fields.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[&PREPARE.command, &SET.command, &DISCARD.command, &DISCARDALL.command],
    handler: Handler::Container,
    ..BASE
});

/// Says which fields hashes will have.
static PREPARE: SessionCommand = SessionCommand::alone(
    Command {
        name: "PREPARE",
        summary: "Names fields, in the order in which HIMPORT SET will give their values.",
        complexity: "O(N*log(N)) where N is the number of fields.",
        arity: Arity::AtLeast(4),
        flags: Flags::DENYOOM,
        args: &[Arg::string("fieldset-name"), Arg::string("field").multiple()],
        ..BASE
    },
    prepare,
)
.within();

/// Writes a hash.
static SET: SessionCommand = SessionCommand::keyed(
    Command {
        name: "SET",
        summary: "Sets a key to a hash of the fields of a fieldset, in the place of the hash it was.",
        complexity: "O(N) where N is the number of fields in the fieldset.",
        arity: Arity::AtLeast(5),
        flags: Flags::WRITE.and(Flags::DENYOOM),
        keys: &[KeySpec::at(2, Access::OVERWRITE.and(Access::UPDATE))],
        args: &[Arg::key("key"), Arg::string("fieldset-name"), Arg::string("value").multiple()],
        ..BASE
    },
    set,
)
.within();

/// Forgets a fieldset.
static DISCARD: SessionCommand = SessionCommand::alone(
    Command {
        name: "DISCARD",
        summary: "Forgets a fieldset of the client.",
        complexity: "O(N) where N is the number of fields in the fieldset.",
        arity: Arity::Exactly(3),
        args: &[Arg::string("fieldset-name")],
        ..BASE
    },
    |call| {
        let was_there = call.session.facts.fieldsets.remove(call.args.at(2));
        call.reply().integer(i64::from(was_there));
        Ok(Flow::Next)
    },
)
.within();

/// Forgets all fieldsets.
static DISCARDALL: SessionCommand = SessionCommand::alone(
    Command {
        name: "DISCARDALL",
        summary: "Forgets all fieldsets of the client.",
        complexity: "O(N) where N is the number of fields in all fieldsets.",
        arity: Arity::Exactly(2),
        ..BASE
    },
    |call| {
        let count = std::mem::take(&mut call.session.facts.fieldsets).count();
        call.reply().integer(count.cast_signed() as i64);
        Ok(Flow::Next)
    },
)
.within();

fn prepare(call: &mut SessionCall<'_>) -> SessionResult {
    let fields = call.args.tail(3);
    let mut sorted: Vec<&[u8]> = fields.iter().collect();
    sorted.sort_unstable();
    if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(ServerError::DuplicateField.into());
    }
    call.session.facts.fieldsets.add(call.args.at(2), fields.iter().map(Box::from).collect());
    call.ok()
}

fn set(call: &mut SessionCall<'_>, view: &mut ShardView<'_>) -> SessionResult {
    let (name, values) = (call.args.at(2), call.args.tail(4));
    let fields =
        call.session.facts.fieldsets.fields(call.args.at(3)).ok_or(ServerError::NoFieldset)?;
    if fields.len() != values.len() {
        return Err(ServerError::FieldsetMismatch.into());
    }
    let limits = call.core.limits.get();
    let growth = HashGrowth { limits: limits.encodings.hash, hasher: &call.shared.hasher };
    let (db, now) = (call.session.db, call.turn.now);
    let cause = Cause {
        entry: call.entry,
        args: call.args,
        db,
        by: Some(call.id),
        together: call.together,
    };
    let key = Key::new(&call.shared.hasher, name);
    work_observed_for(call.shared, limits.interest, view, cause, |view, effects| {
        let mut keyspace = view.shard_of(|| slot_of(name)).keyspace(db, now);
        let was_there = keyspace.peek_collection::<Hash>(&key)?.is_some();
        let pairs = || fields.iter().map(|field| &**field).zip(values.iter());
        let mut hash = Hash::default();
        let texts: Vec<&[u8]> = pairs().flat_map(|(field, value)| [field, value]).collect();
        hash.prepare(texts.iter().copied(), growth);
        for (field, value) in pairs() {
            hash.set(field, value, FieldExpiry::Clear, now.0, growth);
        }
        keyspace.tell(Interest::HASH, "hset").set_collection(&key, hash, Expiry::Clear);
        if let Some(effects) = effects {
            // Nobody who reads the log knows the fieldset.
            let effects = effects.instead();
            if was_there {
                effects.add(&[b"DEL", name]);
            }
            effects.add_with(&[b"HSET", name], texts.into_iter());
        }
        Ok::<_, ReplyError>(())
    })?;
    call.core.settle(view);
    call.ok()
}
