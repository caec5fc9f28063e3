//! FUNCTION DUMP and RESTORE.

use super::BASE;
use super::function::{EVERYWHERE, answer};
use crate::commands::error::ServerError;
use crate::scripting::change::CodeChange;
use crate::scripting::library::add;
use crate::scripting::store::{Libraries, Library};
use crate::session_command::{Flow, SessionCommand};
use darter_command_table::{Arg, Arity, Command, Flags, ReplyError};
use darter_rdb::{NoFunctions, Payload, Version, decode_functions, encode_functions, payload};
use std::sync::Arc;

/// All libraries, in the form RESTORE takes.
pub(super) static DUMP: SessionCommand = SessionCommand::alone(
    Command {
        name: "DUMP",
        since: "7.0.0",
        summary: "Shows all libraries in the form that RESTORE takes.",
        complexity: "O(N) where N is the number of functions",
        arity: Arity::Exactly(2),
        flags: Flags::NOSCRIPT,
        ..BASE
    },
    |call| {
        let mut dump = Vec::new();
        for library in call.shared.scripts.libraries().iter() {
            encode_functions(&mut dump, &library.text);
        }
        payload::seal(&mut dump, Version::REDIS_7_0);
        call.reply().bulk(&dump);
        Ok(Flow::Next)
    },
)
.within();

/// Loads dumped libraries.
pub(super) static RESTORE: SessionCommand = SessionCommand::alone(
    Command {
        name: "RESTORE",
        since: "7.0.0",
        summary: "Loads libraries that were dumped.",
        complexity: "O(N) where N is the number of functions on the payload",
        arity: Arity::AtLeast(3),
        flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::NOSCRIPT),
        args: &[
            Arg::string("serialized-value"),
            Arg::one_of(
                "policy",
                &[
                    Arg::word("flush", "FLUSH"),
                    Arg::word("append", "APPEND"),
                    Arg::word("replace", "REPLACE"),
                ],
            )
            .optional(),
        ],
        tips: EVERYWHERE,
        ..BASE
    },
    |call| answer(call, restore),
)
.within();

/// What happens to the libraries there are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    /// They are deleted.
    Flush,
    /// They stay; it is an error if one has the name of one that is restored.
    Append,
    /// Those of the same names are replaced.
    Replace,
}

pub(super) fn restore(change: &CodeChange<'_>) -> Result<Option<Vec<u8>>, ReplyError> {
    let args = change.args;
    let policy = match args.get(3) {
        None => Policy::Append,
        Some(_) if args.len() > 4 => {
            let subcommand = args.at(1).to_vec();
            return Err(ServerError::SubcommandArguments { command: "FUNCTION", subcommand }.into());
        }
        Some(word) if word.eq_ignore_ascii_case(b"FLUSH") => Policy::Flush,
        Some(word) if word.eq_ignore_ascii_case(b"APPEND") => Policy::Append,
        Some(word) if word.eq_ignore_ascii_case(b"REPLACE") => Policy::Replace,
        Some(_) => return Err(ServerError::RestorePolicy.into()),
    };
    let dump = Payload::checked(args.at(2)).ok_or(ServerError::FunctionPayload)?;
    let texts = decode_functions(dump.value).map_err(|problem| {
        ServerError::FunctionPayloadType(match problem {
            NoFunctions::BeforeGa => "Pre-GA function format not supported",
            NoFunctions::OtherType => "given type is not a function",
            NoFunctions::Corrupt => "failed loading the given functions payload",
        })
    })?;
    let mut libraries: Vec<Arc<Library>> = Vec::new();
    for text in &texts {
        libraries.push(Arc::new(change.compiled(text, |_, _| Ok(()))?));
    }
    let word: &[u8] = if policy == Policy::Flush { b"FLUSH" } else { b"REPLACE" };
    change.change(&[b"FUNCTION", b"RESTORE", args.at(2), word], |known| {
        let mut restored =
            if policy == Policy::Flush { Libraries::default() } else { known.clone() };
        for library in &libraries {
            if policy != Policy::Replace && restored.find(&library.name).is_some() {
                let name = library.name.clone();
                return Err(ServerError::RestoredLibraryExists(name).into());
            }
            add(&mut restored, library)?;
        }
        *known = restored;
        Ok(())
    })?;
    Ok(None)
}
