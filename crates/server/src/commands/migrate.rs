//! MIGRATE: keys to another server. How they get there is in [`crate::migration`].

use crate::commands::error::ServerError;
use crate::migration::{Target, Transfer};
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_base::crc16::slot_of;
use darter_base::number::parse_i64;
use darter_command_table::{
    Access, Arg, Arity, Begin, Category, Command, Find, Flags, Group, Handler, KeySpec, ReplyError,
    ShardView,
};
use darter_resp::Args;
use darter_resp::request::encode;
use darter_shard::Key;
use std::ops::Range;
use std::time::Duration;

/// Every command of this file.
pub static COMMANDS: &[&SessionCommand] = &[&MIGRATE];

const ACCESS: Access = Access::READ_WRITE.and(Access::ACCESS).and(Access::DELETE);

/// Sends keys to another server.
static MIGRATE: SessionCommand = SessionCommand::keyed(
    Command {
        name: "MIGRATE",
        group: Group::Generic,
        since: "2.6.0",
        summary: "Moves keys to another server, or copies them.",
        complexity: "O(N) where N is the size of the values; other clients run meanwhile, but for those that \
                     need the same shards.",
        arity: Arity::AtLeast(6),
        flags: Flags::WRITE,
        acl: Category::KEYSPACE.and(Category::DANGEROUS),
        keys: &[
            KeySpec::at(3, ACCESS),
            KeySpec {
                begin: Begin::Keyword { word: "KEYS", from: -2 },
                find: Find::Range { last: -1, step: 1, limit: 0 },
                access: ACCESS.and(Access::INCOMPLETE),
                notes: None,
            },
        ],
        exact_keys: Some(|args, visit| {
            let options = Options::parse(args);
            let fits = options.is_ok();
            options.into_iter().flat_map(|options| options.keys).for_each(visit);
            fits
        }),
        args: &[
            Arg::string("host"),
            Arg::integer("port"),
            Arg::one_of("key-selector", &[Arg::key("key"), Arg::word("empty-string", "")]),
            Arg::integer("destination-db"),
            Arg::integer("timeout"),
            Arg::word("copy", "COPY").optional().since("3.0.0"),
            Arg::word("replace", "REPLACE").optional().since("3.0.0"),
            Arg::one_of(
                "authentication",
                &[
                    Arg::string("auth").shown("password").token("AUTH").since("4.0.7"),
                    Arg::block("auth2", &[Arg::string("username"), Arg::string("password")])
                        .token("AUTH2")
                        .since("6.0.0"),
                ],
            )
            .optional(),
            Arg::key_by("keys", 1).shown("key").token("KEYS").multiple().optional().since("3.0.6"),
        ],
        history: &[
            ("3.0.0", "Added the `COPY` and `REPLACE` options."),
            ("3.0.6", "Added the `KEYS` option."),
            ("4.0.7", "Added the `AUTH` option."),
            ("6.0.0", "Added the `AUTH2` option."),
        ],
        tips: &["nondeterministic_output"],
        secret: Some(is_secret),
        handler: Handler::Session,
        ..Command::BASE
    },
    migrate,
);

/// A timeout that is none.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);

/// What is asked for.
struct Options<'a> {
    copy: bool,
    replace: bool,
    /// The arguments of AUTH.
    authentication: Option<Vec<&'a [u8]>>,
    /// The arguments that are keys.
    keys: Range<usize>,
}

impl<'a> Options<'a> {
    fn parse(args: Args<'a>) -> Result<Self, ReplyError> {
        let mut options = Self { copy: false, replace: false, authentication: None, keys: 3..4 };
        let mut index = 6;
        while index < args.len() {
            let operands = args.len() - 1 - index;
            let word = args.at(index);
            if word.eq_ignore_ascii_case(b"COPY") {
                options.copy = true;
            } else if word.eq_ignore_ascii_case(b"REPLACE") {
                options.replace = true;
            } else if let Some(count) = secrets_behind(word) {
                if operands < count {
                    return Err(ReplyError::Syntax);
                }
                let given = index + 1..=index + count;
                options.authentication = Some(given.map(|index| args.at(index)).collect());
                index += count;
            } else if word.eq_ignore_ascii_case(b"KEYS") {
                if !args.at(3).is_empty() {
                    return Err(ServerError::MigrationOfTwoKinds.into());
                }
                options.keys = index + 1..args.len();
                break;
            } else {
                return Err(ReplyError::Syntax);
            }
            index += 1;
        }
        Ok(options)
    }
}

/// How many arguments behind this word are nobody's business.
fn secrets_behind(word: &[u8]) -> Option<usize> {
    if word.eq_ignore_ascii_case(b"AUTH") {
        Some(1)
    } else if word.eq_ignore_ascii_case(b"AUTH2") {
        Some(2)
    } else {
        None
    }
}

fn is_secret(args: Args<'_>, index: usize) -> bool {
    let mut at = 6;
    while at < args.len() && !args.at(at).eq_ignore_ascii_case(b"KEYS") {
        let count = secrets_behind(args.at(at)).unwrap_or(0);
        if (at + 1..=at + count).contains(&index) {
            return true;
        }
        at += 1 + count;
    }
    false
}

fn migrate(call: &mut SessionCall<'_>, view: &mut ShardView<'_>) -> SessionResult {
    let dialogue = call.session.facts.dialogue.take();
    let args = call.args;
    let options = Options::parse(args)?;
    let timeout = parse_i64(args.at(5)).ok_or(ReplyError::NotAnInteger)?;
    let db = parse_i64(args.at(4)).ok_or(ReplyError::NotAnInteger)?;
    let (own_db, now) = (call.session.db, call.turn.now);
    let keys: Vec<&[u8]> = options
        .keys
        .clone()
        .map(|index| args.at(index))
        .filter(|name| {
            let key = Key::new(&call.shared.hasher, name);
            let shard = view.shard_of(|| slot_of(name));
            shard.keyspace(own_db, now).peek(&key).is_some()
        })
        .collect();
    if keys.is_empty() {
        call.reply().simple("NOKEY");
        return Ok(Flow::Next);
    }
    if call.nested {
        return Err(ServerError::MigrationInside.into());
    }
    let Some(dialogue) = dialogue else {
        let timeout = u64::try_from(timeout).ok().filter(|millis| *millis > 0);
        // What is no number is 0 to Redis.
        let port = parse_i64(args.at(2)).unwrap_or(0);
        let port = u16::try_from(port).map_err(|_| ServerError::MigrationUnreachable)?;
        return Ok(Flow::Connect(Box::new(Target {
            host: String::from_utf8_lossy(args.at(1)).into_owned(),
            port,
            timeout: timeout.map_or(TIMEOUT_DEFAULT, Duration::from_millis),
        })));
    };
    let mut preparation = Vec::new();
    if let Some(words) = &options.authentication {
        preparation.push(encode(&[&[b"AUTH".as_slice()], words.as_slice()].concat()));
    }
    preparation.push(encode(&[b"SELECT".as_slice(), db.to_string().as_bytes()]));
    Ok(Flow::Transfer(Box::new(Transfer {
        dialogue,
        preparation,
        keys: keys.into_iter().map(Into::into).collect(),
        db: own_db,
        now,
        copy: options.copy,
        replace: options.replace,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use darter_base::split_args::split_args;
    use darter_resp::OwnedArgs;

    fn with<R>(line: &str, look: impl FnOnce(Args<'_>) -> R) -> R {
        let mut args = OwnedArgs::new();
        for word in split_args(line.as_bytes()).unwrap() {
            args.push(&word);
        }
        look(args.as_args())
    }

    #[test]
    fn passwords_are_nobodys_business() {
        let secrets =
            |line| with(line, |args| (0..args.len()).filter(|at| is_secret(args, *at)).count());
        assert_eq!(secrets("MIGRATE h 1 k 0 9"), 0);
        assert_eq!(secrets("MIGRATE h 1 k 0 9 COPY AUTH p"), 1);
        assert_eq!(secrets("MIGRATE h 1 k 0 9 auth2 u p REPLACE"), 2);
        assert_eq!(secrets("MIGRATE h 1 \"\" 0 9 AUTH p KEYS AUTH a b"), 1);
    }

    #[test]
    fn options_are_those_of_redis() {
        let keys = |line| with(line, |args| Options::parse(args).map(|options| options.keys));
        assert_eq!(keys("MIGRATE h 1 k 0 9 COPY REPLACE"), Ok(3..4));
        assert_eq!(keys("MIGRATE h 1 \"\" 0 9 KEYS a b"), Ok(7..9));
        assert_eq!(keys("MIGRATE h 1 k 0 9 AUTH"), Err(ReplyError::Syntax));
        assert_eq!(keys("MIGRATE h 1 k 0 9 AUTH2 u"), Err(ReplyError::Syntax));
        assert_eq!(keys("MIGRATE h 1 k 0 9 FOO"), Err(ReplyError::Syntax));
        let both = ReplyError::from(ServerError::MigrationOfTwoKinds);
        assert_eq!(keys("MIGRATE h 1 k 0 9 KEYS a"), Err(both));
    }
}
