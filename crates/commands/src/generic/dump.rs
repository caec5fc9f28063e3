//! DUMP and RESTORE: values in the format of RDB files.

use super::long_dump::{dump_in_slices, elements_of};
use crate::effects::add_with_elements;
use crate::expiration::NewDeadline;
use crate::set::rules;
use darter_base::UnixMillis;
use darter_base::number::format_i64;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Effects, Flags, Group, Handler, KeySpec,
    RdbVersions, ReplyError, ReplyResult, ShardView,
};
use darter_rdb::{Built, Corrupt, Payload, Value, build, decode, encode_value, payload};
use darter_resp::{Args, OwnedArgs};
use darter_shard::{Expiry, Interest, Key, Keyspace, ValueRef};
use darter_value::Hash;
use long_restore::{elements_in, restore_in_slices};

mod long_restore;

/// A value in bytes.
pub(super) static DUMP: Command = Command {
    name: "DUMP",
    group: Group::Generic,
    since: "2.6.0",
    summary: "The value of a key in a form that RESTORE understands, here and on other servers.",
    complexity: "O(N) where N is the size of the value.",
    arity: Arity::Exactly(2),
    flags: Flags::READONLY,
    acl: Category::KEYSPACE,
    keys: &[KeySpec::at(1, Access::READ_ONLY.and(Access::ACCESS))],
    args: &[Arg::key("key")],
    tips: &["nondeterministic_output"],
    handler: Handler::Keyed(dump),
    slices: Some(dump_in_slices),
    ..Command::BASE
};

/// A value out of bytes.
pub(super) static RESTORE: Command = RESTORE_FORM;

/// What it and RESTORE-ASKING have in common.
const RESTORE_FORM: Command = Command {
    name: "RESTORE",
    group: Group::Generic,
    since: "2.6.0",
    summary: "Creates a key with a value that DUMP has answered, here or on another server.",
    complexity: "O(N log(N)) where N is the size of the value.",
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::KEYSPACE.and(Category::DANGEROUS),
    keys: &[KeySpec::at(1, Access::OVERWRITE.and(Access::UPDATE))],
    args: &[
        Arg::key("key"),
        Arg::integer("ttl"),
        Arg::string("serialized-value"),
        Arg::word("replace", "REPLACE").since("3.0.0").optional(),
        Arg::word("absttl", "ABSTTL").since("5.0.0").optional(),
        Arg::integer("seconds").token("IDLETIME").since("5.0.0").optional(),
        Arg::integer("frequency").token("FREQ").since("5.0.0").optional(),
    ],
    history: &[("3.0.0", "`REPLACE`."), ("5.0.0", "`ABSTTL`, `IDLETIME` and `FREQ`.")],
    handler: Handler::Keyed(restore),
    slices: Some(restore_in_slices),
    ..Command::BASE
};

/// What a cluster's node sends to one that imports the slot of the key.
pub(super) static RESTORE_ASKING: Command = Command {
    name: "RESTORE-ASKING",
    is_internal: true,
    group: Group::Server,
    since: "3.0.0",
    summary: "RESTORE between the nodes of a cluster, for a key whose slot is on its way.",
    flags: RESTORE_FORM.flags.and(Flags::ASKING),
    ..RESTORE_FORM
};

fn dump(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    let Some(value) = keyspace.read(&key) else {
        call.reply.null();
        return Ok(());
    };
    call.in_one_piece(elements_of(value))?;
    call.reply.bulk_shared(&dump_value(value, call.now).into());
    Ok(())
}

/// A value as DUMP answers it.
pub fn dump_value(value: ValueRef<'_>, now: UnixMillis) -> Vec<u8> {
    let mut bytes = Vec::new();
    let version = encode_value(&mut bytes, value, now);
    payload::seal(&mut bytes, version);
    bytes
}

/// The options of RESTORE.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    replace: bool,
    absolute: bool,
    /// Seconds since the last use.
    idle_seconds: Option<u32>,
    /// The counter of uses.
    frequency: Option<u8>,
}

impl Options {
    fn parse(call: &Call<'_>) -> Result<Self, ReplyError> {
        let mut options = Self::default();
        let mut index = 4;
        while index < call.args.len() {
            let has_operand = index + 1 < call.args.len();
            if call.is_word(index, "REPLACE") {
                options.replace = true;
            } else if call.is_word(index, "ABSTTL") {
                options.absolute = true;
            } else if call.is_word(index, "IDLETIME") && has_operand && options.frequency.is_none()
            {
                index += 1;
                let seconds = call.integer(index)?;
                if seconds < 0 {
                    return Err(ReplyError::Text("ERR Invalid IDLETIME value, must be >= 0"));
                }
                options.idle_seconds = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
            } else if call.is_word(index, "FREQ") && has_operand && options.idle_seconds.is_none() {
                index += 1;
                let frequency = u8::try_from(call.integer(index)?).map_err(|_| {
                    ReplyError::Text("ERR Invalid FREQ value, must be >= 0 and <= 255")
                })?;
                options.frequency = Some(frequency);
            } else {
                return Err(ReplyError::Syntax);
            }
            index += 1;
        }
        Ok(options)
    }
}

fn restore(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let options = Options::parse(call)?;
    let key = call.key(1);
    let mut keyspace = call.keyspace(view, &key);
    admit(call, &mut keyspace, &key, options)?;
    let bytes = call.args.at(3);
    call.in_one_piece(elements_in(bytes))?;
    let payload = match call.limits.rdb_versions {
        _ if !call.limits.checks_payloads => Payload::unchecked(bytes),
        RdbVersions::Any => Payload::of_any_version(bytes),
        RdbVersions::Known => Payload::checked(bytes),
    };
    let payload = payload.ok_or(WRONG_PAYLOAD)?;
    let value = decode(payload.value, payload.version).map_err(|flaw| malformed(payload, flaw))?;
    if let Value::String(text) = &value {
        check_length(call, text.len())?;
    }
    let expired =
        if call.is_recorded() { expired_fields(&value, call.now) } else { OwnedArgs::new() };
    let built = build(value, rules(call), call.now);
    match store(call, &mut keyspace, &key, options, built)? {
        Outcome::Unchanged => {}
        Outcome::Deleted => call.leave(|effects| effects.add_deleted(key.bytes)),
        Outcome::Restored(expiry) => {
            leave_restored(call, &mut keyspace, &key, options, expiry, expired.as_args());
        }
    }
    call.reply.ok();
    Ok(())
}

/// The error of a payload that is none, or not whole.
const WRONG_PAYLOAD: ReplyError =
    ReplyError::Text("ERR DUMP payload version or checksum are wrong");

fn malformed(payload: Payload<'_>, flaw: Corrupt) -> ReplyError {
    let kind = payload.value.first().copied().unwrap_or_default();
    ReplyError::MalformedValue(flaw.describe(kind).into())
}

/// Refuses a string that is longer than one may be.
fn check_length(call: &Call<'_>, len: usize) -> Result<(), ReplyError> {
    if len as u64 > call.limits.string_bytes_max {
        return Err(ReplyError::MalformedValue("String too long".into()));
    }
    Ok(())
}

/// Refuses to restore over a key that is not to be replaced, and for less than no time.
fn admit(
    call: &Call<'_>,
    keyspace: &mut Keyspace<'_>,
    key: &Key<'_>,
    options: Options,
) -> Result<i64, ReplyError> {
    if !options.replace && keyspace.peek(key).is_some() {
        return Err(ReplyError::Text("BUSYKEY Target key name already exists."));
    }
    let ttl = call.integer(2)?;
    if ttl < 0 {
        return Err(ReplyError::Text("ERR Invalid TTL value, must be >= 0"));
    }
    Ok(ttl)
}

/// What became of the key.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// It was not there and is not there.
    Unchanged,
    /// It is gone: its new value would have expired at once.
    Deleted,
    /// It has the new value, for good or until a point in time.
    Restored(Expiry),
}

/// Sets `key` to a value that was read. Nothing happens on an error.
fn store(
    call: &Call<'_>,
    keyspace: &mut Keyspace<'_>,
    key: &Key<'_>,
    options: Options,
    built: Built,
) -> Result<Outcome, ReplyError> {
    let ttl = match admit(call, keyspace, key, options) {
        Ok(ttl) => ttl,
        Err(error) => {
            discard(keyspace, built);
            return Err(error);
        }
    };
    let exists = keyspace.peek(key).is_some();
    let gone = if exists { Outcome::Deleted } else { Outcome::Unchanged };
    let deadline = match (ttl, options.absolute) {
        (0, _) => None,
        (millis, true) => Some(NewDeadline::at(millis, call.passed_until())),
        (millis, false) => {
            let millis = millis.saturating_add(call.time_of_day().0);
            Some(NewDeadline::at(millis, call.passed_until()))
        }
    };
    if deadline.is_some_and(|new| new.passed) {
        // The key would be gone at once.
        keyspace.tell(Interest::GENERIC, "del").remove(key);
        discard(keyspace, built);
        return Ok(gone);
    }
    let expiry = deadline.map_or(Expiry::Clear, |new| Expiry::At(new.deadline));
    if exists {
        // It is deleted first, as in Redis.
        keyspace.note(Interest::CREATED, "new", key);
    }
    keyspace.tell(Interest::GENERIC, "restore");
    match built {
        Built::Text(text) => {
            keyspace.set_string(key, &text, expiry);
        }
        Built::Object(object) => {
            keyspace.set_object(key, object, expiry);
        }
        Built::Nothing => {
            keyspace.tell(Interest::GENERIC, "del").remove(key);
            return Ok(gone);
        }
    }
    if let Some(seconds) = options.idle_seconds {
        keyspace.set_idle_seconds(key, seconds);
    }
    if let Some(frequency) = options.frequency {
        keyspace.set_frequency(key, frequency);
    }
    Ok(Outcome::Restored(expiry))
}

fn discard(keyspace: &mut Keyspace<'_>, built: Built) {
    if let Built::Object(object) = built {
        keyspace.discard(object);
    }
}

/// The fields of a hash that have expired.
fn expired_fields(value: &Value, now: UnixMillis) -> OwnedArgs {
    let Value::Hash(texts, fields) = value else { return OwnedArgs::new() };
    let mut expiring = fields.iter().peekable();
    let names = texts.iter().step_by(2).enumerate();
    let expired = names.filter(|(index, _)| {
        let own = expiring.next_if(|field| field.index == *index);
        own.is_some_and(|own| i64::try_from(own.deadline_ms).is_ok_and(|millis| millis <= now.0))
    });
    expired.map(|(_, name)| name).collect()
}

/// Leaves that `key` was restored, for good or until a point in time, without the fields that had `expired`.
fn leave_restored(
    call: &mut Call<'_>,
    keyspace: &mut Keyspace<'_>,
    key: &Key<'_>,
    options: Options,
    expiry: Expiry,
    expired: Args<'_>,
) {
    let (payload, now) = (call.args.at(3), call.now);
    call.leave(|effects| {
        add_restored(effects, (key.bytes, payload), options, expiry);
        let hash = keyspace.peek_collection::<Hash>(key).ok().flatten();
        let is_absent = |field: &&[u8]| hash.is_none_or(|hash| !hash.contains(field, now.0));
        let expired: OwnedArgs = expired.iter().filter(is_absent).collect();
        add_with_elements(effects, b"HDEL", key.bytes, expired.as_args());
    });
}

/// Adds that a key was restored from a payload, at whatever time that is done again.
fn add_restored(
    effects: &mut Effects,
    (key, payload): (&[u8], &[u8]),
    options: Options,
    expiry: Expiry,
) {
    let deadline = match expiry {
        Expiry::At(deadline) => format_i64(deadline.millis()),
        Expiry::Clear | Expiry::Keep => format_i64(0),
    };
    let mut words = vec![b"RESTORE".as_slice(), key, deadline.as_bytes(), payload];
    if options.replace {
        words.push(b"REPLACE");
    }
    if matches!(expiry, Expiry::At(_)) {
        words.push(b"ABSTTL");
    }
    let number = format_i64(match options {
        Options { idle_seconds: Some(seconds), .. } => seconds.into(),
        Options { frequency: Some(frequency), .. } => frequency.into(),
        _ => 0,
    });
    if options.idle_seconds.is_some() {
        words.extend([b"IDLETIME".as_slice(), number.as_bytes()]);
    } else if options.frequency.is_some() {
        words.extend([b"FREQ".as_slice(), number.as_bytes()]);
    }
    effects.add(&words);
}

#[cfg(test)]
mod tests {
    use crate::testing::{Bench, shown};
    use darter_resp::OwnedArgs;

    /// The bulk string in a reply; empty if it is null.
    fn bulk_of(reply: &[u8]) -> Vec<u8> {
        if reply == b"$-1\r\n" {
            return Vec::new();
        }
        let at = reply.windows(2).position(|pair| pair == b"\r\n").expect("a header") + 2;
        reply[at..reply.len() - 2].to_vec()
    }

    fn run(bench: &mut Bench, words: &[&[u8]]) -> Vec<u8> {
        let mut args = OwnedArgs::new();
        for word in words {
            args.push(word);
        }
        bench.run_args(args.as_args())
    }

    #[test]
    fn every_type_comes_back_as_it_was() {
        let mut bench = Bench::new(4);
        for line in [
            "SET string hello",
            "SET integer -70000",
            "SETRANGE large 5000 x",
            "RPUSH list a 1 -300 b",
            "SADD integers 1 2 300 -5",
            "SADD set a b 17",
            "ZADD sorted 1.5 a -inf b 3 17",
            "XADD stream 1-1 f v g 12",
            "XADD stream 2-1 f w g -1",
            "XADD stream 2-5 other x",
            "XDEL stream 1-1",
            "XGROUP CREATE stream group 0",
            "XREADGROUP GROUP group me COUNT 1 STREAMS stream >",
            "PFADD hll a b c",
        ] {
            let reply = shown(&bench.run(line));
            if reply.contains("unknown command") {
                continue;
            }
            assert!(!reply.starts_with('-'), "{line}: {reply}");
        }
        for key in
            ["string", "integer", "large", "list", "integers", "set", "sorted", "stream", "hll"]
        {
            let dumped = bulk_of(&bench.run(&format!("DUMP {key}")));
            if dumped.len() < 10 {
                continue;
            }
            let copy = format!("copy of {key}");
            let reply = run(&mut bench, &[b"RESTORE", copy.as_bytes(), b"0", &dumped]);
            assert_eq!(shown(&reply), "+OK", "{key}");
            let digest =
                |bench: &mut Bench, key: &[u8]| run(bench, &[b"DEBUG", b"DIGEST-VALUE", key]);
            assert_eq!(digest(&mut bench, key.as_bytes()), digest(&mut bench, copy.as_bytes()));
            let busy = run(&mut bench, &[b"RESTORE", copy.as_bytes(), b"0", &dumped]);
            assert_eq!(shown(&busy), "-BUSYKEY Target key name already exists.");
            let again =
                run(&mut bench, &[b"RESTORE", copy.as_bytes(), b"100000", &dumped, b"REPLACE"]);
            assert_eq!(shown(&again), "+OK");
            assert_eq!(shown(&run(&mut bench, &[b"TTL", copy.as_bytes()])), ":100");
            // One that is over already leaves nothing.
            let words: [&[u8]; 6] =
                [b"RESTORE", copy.as_bytes(), b"1", &dumped, b"REPLACE", b"ABSTTL"];
            assert_eq!(shown(&run(&mut bench, &words)), "+OK");
            assert_eq!(shown(&run(&mut bench, &[b"EXISTS", copy.as_bytes()])), ":0");
        }
        let group = shown(&bench.run("XPENDING stream group"));
        assert_eq!(group, "*4 :1 $3 2-1 $3 2-1 *1 *2 $2 me $1 1");
    }

    #[test]
    fn damage_and_malformed_options_change_nothing() {
        let mut bench = Bench::new(1);
        bench.run("SET k hello");
        let dumped = bulk_of(&bench.run("DUMP k"));
        let mut damaged = dumped.clone();
        damaged[2] ^= 1;
        let mut restore = |words: &[&[u8]], expected: &str| {
            let mut all: Vec<&[u8]> = vec![b"RESTORE", b"new"];
            all.extend(words);
            assert_eq!(shown(&run(&mut bench, &all)), expected);
        };
        restore(&[b"0", &damaged], "-ERR DUMP payload version or checksum are wrong");
        restore(&[b"0", b""], "-ERR DUMP payload version or checksum are wrong");
        restore(&[b"-1", &dumped], "-ERR Invalid TTL value, must be >= 0");
        restore(&[b"x", &dumped], "-ERR value is not an integer or out of range");
        restore(&[b"0", &dumped, b"IDLETIME", b"-1"], "-ERR Invalid IDLETIME value, must be >= 0");
        restore(
            &[b"0", &dumped, b"FREQ", b"256"],
            "-ERR Invalid FREQ value, must be >= 0 and <= 255",
        );
        restore(&[b"0", &dumped, b"FREQ", b"5", b"IDLETIME", b"5"], "-ERR syntax error");
        restore(&[b"0", &dumped, b"NONSENSE"], "-ERR syntax error");
        let mut bad = b"\x63\x00".to_vec();
        darter_rdb::payload::seal(&mut bad, darter_rdb::Version::REDIS_7_0);
        restore(&[b"0", &bad], "-ERR Bad data format");
        assert_eq!(shown(&bench.run("EXISTS new")), ":0");
        assert_eq!(shown(&bench.run("DUMP nokey")), "$-1");
    }
}
