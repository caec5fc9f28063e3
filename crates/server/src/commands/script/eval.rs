//! EVAL, EVALSHA, FCALL, and the forms that may not write.

use super::BASE;
use crate::scripting::Source;
use crate::scripting::run::Named;
use crate::session_command::SessionCommand;
use darter_command_table::key_spec::{Access, KeySpec};
use darter_command_table::{Arg, Arity, Command, Flags};

/// Of the forms that may write.
const FLAGS: Flags = Flags::NOSCRIPT
    .and(Flags::STALE)
    .and(Flags::SKIP_MONITOR)
    .and(Flags::MAY_REPLICATE)
    .and(Flags::NO_MANDATORY_KEYS)
    .and(Flags::MOVABLEKEYS);

/// Of the forms that may not.
const READ_FLAGS: Flags = Flags::READONLY
    .and(Flags::NOSCRIPT)
    .and(Flags::STALE)
    .and(Flags::SKIP_MONITOR)
    .and(Flags::NO_MANDATORY_KEYS)
    .and(Flags::MOVABLEKEYS);

/// What a script does with its keys cannot be told before.
const KEYS: &[KeySpec] =
    &[KeySpec::counted(2, Access::READ_WRITE.and(Access::ACCESS).and(Access::UPDATE))
        .notes("We cannot tell how the keys will be used so we assume the worst, RW and UPDATE")];

const READ_KEYS: &[KeySpec] = &[KeySpec::counted(2, Access::READ_ONLY.and(Access::ACCESS))
    .notes("We cannot tell how the keys will be used so we assume the worst, RO and ACCESS")];

const fn args(name: &'static str) -> [Arg; 4] {
    [
        Arg::string(name),
        Arg::integer("numkeys"),
        Arg::key("key").optional().multiple(),
        Arg::string("arg").optional().multiple(),
    ]
}

const SCRIPT_ARGS: &[Arg] = &args("script");
const DIGEST_ARGS: &[Arg] = &args("sha1");
const FUNCTION_ARGS: &[Arg] = &args("function");

const RUN: Command = Command {
    complexity: "Depends on the script that is executed.",
    arity: Arity::AtLeast(3),
    flags: FLAGS,
    keys: KEYS,
    ..BASE
};

const READ: Command = Command { since: "7.0.0", flags: READ_FLAGS, keys: READ_KEYS, ..RUN };

const fn source(named: Named, read_only: bool) -> Source {
    Source { named, read_only }
}

/// Runs a script.
pub(super) static EVAL: SessionCommand = SessionCommand::script(
    Command {
        name: "EVAL",
        since: "2.6.0",
        summary: "Runs a script in Lua.",
        args: SCRIPT_ARGS,
        ..RUN
    },
    source(Named::ByText, false),
);

/// Runs a script that is known.
pub(super) static EVALSHA: SessionCommand = SessionCommand::script(
    Command {
        name: "EVALSHA",
        since: "2.6.0",
        summary: "Runs a script in Lua, named by its SHA-1.",
        args: DIGEST_ARGS,
        ..RUN
    },
    source(Named::ByDigest, false),
);

/// Runs a script that may not write.
pub(super) static EVAL_RO: SessionCommand = SessionCommand::script(
    Command {
        name: "EVAL_RO",
        summary: "Runs a script in Lua that only reads.",
        args: SCRIPT_ARGS,
        ..READ
    },
    source(Named::ByText, true),
);

/// Runs a script that is known and may not write.
pub(super) static EVALSHA_RO: SessionCommand = SessionCommand::script(
    Command {
        name: "EVALSHA_RO",
        summary: "Runs a script in Lua that only reads, named by its SHA-1.",
        args: DIGEST_ARGS,
        ..READ
    },
    source(Named::ByDigest, true),
);

/// Runs a function.
pub(super) static FCALL: SessionCommand = SessionCommand::script(
    Command {
        name: "FCALL",
        since: "7.0.0",
        summary: "Calls a function.",
        complexity: "Depends on the function that is executed.",
        args: FUNCTION_ARGS,
        ..RUN
    },
    source(Named::ByFunction, false),
);

/// Runs a function that may not write.
pub(super) static FCALL_RO: SessionCommand = SessionCommand::script(
    Command {
        name: "FCALL_RO",
        summary: "Calls a function that only reads.",
        complexity: "Depends on the function that is executed.",
        args: FUNCTION_ARGS,
        ..READ
    },
    source(Named::ByFunction, true),
);
