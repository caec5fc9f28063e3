//! ACL, as far as it goes without users: there is one, `default`, who may do everything. Its password
//! is `requirepass`.

use crate::commands::error::ServerError;
use crate::session::DEFAULT_USER;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_base::number::parse_i64;
use darter_command_table::{
    Arg, Arity, Category, Command, Entry, Flags, Group, Handler, ReplyError,
};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// The container and its subcommands.
pub static COMMANDS: &[&SessionCommand] = &[
    &ACL, &CAT, &DELUSER, &DRYRUN, &GENPASS, &GETUSER, &HELP, &LIST, &LOAD, &LOG, &SAVE, &SETUSER,
    &USERS, &WHOAMI,
];

/// What the subcommands have in common.
const BASE: Command = Command {
    group: Group::Server,
    since: "6.0.0",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE),
    handler: Handler::Session,
    ..Command::BASE
};

/// The flags of those that everybody may use.
const HARMLESS: Flags = Flags::NOSCRIPT.and(Flags::LOADING).and(Flags::STALE);

const ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

/// Commands about users.
static ACL: SessionCommand = SessionCommand::container(Command {
    name: "ACL",
    group: Group::Server,
    since: "6.0.0",
    summary: "A container for commands about users.",
    complexity: "Depends on subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[
        &CAT.command,
        &DELUSER.command,
        &DRYRUN.command,
        &GENPASS.command,
        &GETUSER.command,
        &HELP.command,
        &LIST.command,
        &LOAD.command,
        &LOG.command,
        &SAVE.command,
        &SETUSER.command,
        &USERS.command,
        &WHOAMI.command,
    ],
    ..Command::BASE
});

/// The categories, or the commands of one.
static CAT: SessionCommand = SessionCommand::alone(
    Command {
        name: "CAT",
        summary: "The categories of commands, or the commands of one.",
        complexity: "O(1) since the categories and commands are a fixed set.",
        arity: Arity::AtLeast(2),
        flags: HARMLESS,
        args: &[Arg::string("category").optional()],
        ..BASE
    },
    categories,
)
.within();

fn categories(call: &mut SessionCall<'_>) -> SessionResult {
    let names: Vec<&str> = match call.args.get(2) {
        _ if call.args.len() > 3 => return Err(too_many_arguments(call)),
        None => Category::ALL.names().collect(),
        Some(name) => {
            let unknown = || ServerError::UnknownCategory(name.to_vec());
            let category = Category::named(name).ok_or_else(unknown)?;
            let mut names = Vec::new();
            add_commands_of(category, call.shared.table.commands(), &mut names);
            names
        }
    };
    let mut reply = call.reply();
    reply.array(names.len());
    for name in names {
        reply.bulk(name.as_bytes());
    }
    Ok(Flow::Next)
}

/// As a container answers to arguments that no subcommand takes.
fn too_many_arguments(call: &SessionCall<'_>) -> ReplyError {
    let subcommand = call.args.at(1).to_vec();
    ServerError::SubcommandArguments { command: ACL.command.name, subcommand }.into()
}

fn add_commands_of<'t>(category: Category, entries: &'t [Entry], names: &mut Vec<&'t str>) {
    for entry in entries {
        if entry.command.categories().has(category) {
            names.push(&entry.full_name);
        }
        add_commands_of(category, &entry.subcommands, names);
    }
}

/// Deletes users, of whom there are none that can be.
static DELUSER: SessionCommand = SessionCommand::alone(
    Command {
        name: "DELUSER",
        summary: "Deletes users. There is only the default user, who cannot be deleted.",
        arity: Arity::AtLeast(3),
        args: &[Arg::string("username").multiple()],
        tips: ALL_NODES,
        secret: Some(|_, index| index >= 2),
        ..BASE
    },
    |call| {
        if call.args.tail(2).iter().any(|user| user == DEFAULT_USER.as_bytes()) {
            return Err(ServerError::DefaultUserStays.into());
        }
        call.reply().integer(0);
        Ok(Flow::Next)
    },
)
.within();

/// Whether a user may run a command.
static DRYRUN: SessionCommand = SessionCommand::alone(
    Command {
        name: "DRYRUN",
        since: "7.0.0",
        summary: "Whether a user may run a command, without running it.",
        arity: Arity::AtLeast(4),
        args: &[
            Arg::string("username"),
            Arg::string("command"),
            Arg::string("arg").optional().multiple(),
        ],
        ..BASE
    },
    |call| {
        let user = call.args.at(2);
        if user != DEFAULT_USER.as_bytes() {
            return Err(ServerError::UserNotFound(user.to_vec()).into());
        }
        match call.shared.table.find(call.args.tail(3)) {
            Ok(_) => call.ok(),
            Err(ReplyError::WrongArity(name)) => Err(ReplyError::WrongArity(name)),
            Err(_) => Err(ServerError::CommandNotFound(call.args.at(3).to_vec()).into()),
        }
    },
)
.within();

/// Makes a password up.
static GENPASS: SessionCommand = SessionCommand::alone(
    Command {
        name: "GENPASS",
        summary: "Makes up a password that nobody can guess.",
        arity: Arity::AtLeast(2),
        flags: HARMLESS,
        args: &[Arg::integer("bits").optional()],
        ..BASE
    },
    make_password,
)
.within();

/// Bits of a password unless told otherwise.
const PASSWORD_BITS: usize = 256;

/// The longest password that is made up.
const PASSWORD_BITS_MAX: usize = 4096;

fn make_password(call: &mut SessionCall<'_>) -> SessionResult {
    let bits = match call.args.get(2) {
        _ if call.args.len() > 3 => return Err(too_many_arguments(call)),
        None => PASSWORD_BITS,
        Some(bits) => parse_i64(bits)
            .and_then(|bits| usize::try_from(bits).ok())
            .filter(|bits| (1..=PASSWORD_BITS_MAX).contains(bits))
            .ok_or(ServerError::PasswordBits)?,
    };
    let mut random = [0; PASSWORD_BITS_MAX / 8];
    let random = &mut random[..bits.div_ceil(8)];
    getrandom::fill(random).map_err(|_| ServerError::NoRandomness)?;
    let mut password = hexadecimal(random);
    password.truncate(bits.div_ceil(4));
    call.reply().bulk(password.as_bytes());
    Ok(Flow::Next)
}

/// Two digits for each byte.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a user may do.
static GETUSER: SessionCommand = SessionCommand::alone(
    Command {
        name: "GETUSER",
        summary: "What a user may do.",
        complexity: "O(N). Where N is the number of password, command and pattern rules that the \
                     user has.",
        arity: Arity::Exactly(3),
        args: &[Arg::string("username")],
        history: &[
            ("6.2.0", "Added Pub/Sub channel patterns."),
            (
                "7.0.0",
                "Added selectors and changed the format of key and channel patterns from a list to \
                 their rule representation.",
            ),
        ],
        secret: Some(|_, index| index >= 2),
        ..BASE
    },
    get_user,
)
.within();

fn get_user(call: &mut SessionCall<'_>) -> SessionResult {
    if call.args.at(2) != DEFAULT_USER.as_bytes() {
        call.reply().null();
        return Ok(Flow::Next);
    }
    let password = password_hash(call);
    let mut reply = call.reply();
    reply.map(6);
    reply.bulk(b"flags");
    reply.set(1 + usize::from(password.is_none()));
    reply.bulk(b"on");
    if password.is_none() {
        reply.bulk(b"nopass");
    }
    reply.bulk(b"passwords");
    reply.array(usize::from(password.is_some()));
    if let Some(hash) = &password {
        reply.bulk(hash.as_bytes());
    }
    for (field, rule) in [("commands", "+@all"), ("keys", "~*"), ("channels", "&*")] {
        reply.bulk(field.as_bytes());
        reply.bulk(rule.as_bytes());
    }
    reply.bulk(b"selectors");
    reply.array(0);
    Ok(Flow::Next)
}

/// The SHA-256 of the default user's password, as Redis shows passwords; `None` without one.
fn password_hash(call: &SessionCall<'_>) -> Option<String> {
    let settings = call.shared.config.current();
    settings.has_password().then(|| hexadecimal(&Sha256::digest(&settings.requirepass)))
}

/// Every user, as in a configuration file.
static LIST: SessionCommand = SessionCommand::alone(
    Command {
        name: "LIST",
        summary: "Every user, as a line of a configuration file.",
        complexity: "O(N). Where N is the number of configured users.",
        ..BASE
    },
    |call| {
        let password = password_hash(call).map_or("nopass".to_owned(), |hash| format!("#{hash}"));
        let mut reply = call.reply();
        reply.array(1);
        reply.bulk(format!("user {DEFAULT_USER} on {password} ~* &* +@all").as_bytes());
        Ok(Flow::Next)
    },
)
.within();

/// Reads users from a file.
static LOAD: SessionCommand = SessionCommand::alone(
    Command {
        name: "LOAD",
        summary: "Reads the users from their file.",
        complexity: "O(N). Where N is the number of configured users.",
        ..BASE
    },
    |_| Err(ServerError::NoUserFile.into()),
)
.within();

/// Who was refused.
static LOG: SessionCommand = SessionCommand::alone(
    Command {
        name: "LOG",
        summary: "Who was refused what lately. Nobody is yet.",
        complexity: "O(N) with N being the number of entries shown.",
        arity: Arity::AtLeast(2),
        args: &[Arg::one_of("operation", &[Arg::integer("count"), Arg::word("reset", "RESET")])
            .optional()],
        history: &[("7.2.0", "Added entry ID, timestamp created, and timestamp last updated.")],
        ..BASE
    },
    |call| match call.args.get(2) {
        _ if call.args.len() > 3 => Err(too_many_arguments(call)),
        Some(word) if word.eq_ignore_ascii_case(b"RESET") => call.ok(),
        Some(word) if parse_i64(word).is_none() => Err(ReplyError::NotAnInteger),
        _ => {
            call.reply().array(0);
            Ok(Flow::Next)
        }
    },
)
.within();

/// Writes users to a file.
static SAVE: SessionCommand = SessionCommand::alone(
    Command {
        name: "SAVE",
        summary: "Writes the users to their file.",
        complexity: "O(N). Where N is the number of configured users.",
        tips: ALL_NODES,
        ..BASE
    },
    |_| Err(ServerError::NoUserFile.into()),
)
.within();

/// Makes or changes a user.
static SETUSER: SessionCommand = SessionCommand::alone(
    Command {
        name: "SETUSER",
        summary: "Makes or changes a user. Not possible yet.",
        complexity: "O(N). Where N is the number of rules provided.",
        arity: Arity::AtLeast(3),
        args: &[Arg::string("username"), Arg::string("rule").optional().multiple()],
        history: &[
            ("6.2.0", "Added Pub/Sub channel patterns."),
            ("7.0.0", "Added selectors and key based permissions."),
        ],
        tips: ALL_NODES,
        secret: Some(|_, index| index >= 2),
        ..BASE
    },
    |_| Err(ServerError::NoOtherUsers.into()),
)
.within();

/// Every user's name.
static USERS: SessionCommand = SessionCommand::alone(
    Command {
        name: "USERS",
        summary: "The name of every user.",
        complexity: "O(N). Where N is the number of configured users.",
        ..BASE
    },
    |call| {
        let mut reply = call.reply();
        reply.array(1);
        reply.bulk(DEFAULT_USER.as_bytes());
        Ok(Flow::Next)
    },
)
.within();

/// The user of the connection.
static WHOAMI: SessionCommand = SessionCommand::alone(
    Command { name: "WHOAMI", summary: "The user of the connection.", flags: HARMLESS, ..BASE },
    |call| {
        call.reply().bulk(DEFAULT_USER.as_bytes());
        Ok(Flow::Next)
    },
)
.within();

/// Tells which subcommands there are.
static HELP: SessionCommand = SessionCommand::alone(
    Command {
        name: "HELP",
        summary: "Tells which subcommands there are.",
        flags: Flags::LOADING.and(Flags::STALE),
        ..BASE
    },
    |call| call.help("ACL", HELP_LINES),
)
.within();

const HELP_LINES: &[&str] = &[
    "CAT [<category>]",
    "    List all commands that belong to <category>, or all command categories",
    "    when no category is specified.",
    "DELUSER <username> [<username> ...]",
    "    Delete a list of users.",
    "DRYRUN <username> <command> [<arg> ...]",
    "    Returns whether the user can execute the given command without executing the command.",
    "GETUSER <username>",
    "    Get the user's details.",
    "GENPASS [<bits>]",
    "    Generate a secure 256-bit user password. The optional `bits` argument can",
    "    be used to specify a different size.",
    "LIST",
    "    Show users details in config file format.",
    "LOAD",
    "    Reload users from the ACL file.",
    "LOG [<count> | RESET]",
    "    Show the ACL log entries.",
    "SAVE",
    "    Save the current config to the ACL file.",
    "SETUSER <username> <rule> [<rule> ...]",
    "    Create or modify a user with the specified rules. There is only the default user yet.",
    "USERS",
    "    List all the registered usernames.",
    "WHOAMI",
    "    Return the current connection username.",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_shown_as_their_hash() {
        assert_eq!(
            hexadecimal(&Sha256::digest(b"foobar")),
            "c3ab8ff13720e8ad9047dd39466b3c8974e592c2fa383d4a3960714caef0c4f2"
        );
    }
}
