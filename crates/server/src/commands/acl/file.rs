//! ACL LOAD and SAVE.

use super::{ALL_NODES, BASE};
use crate::commands::error::ServerError;
use crate::session_command::{SessionCall, SessionCommand};
use crate::survey::Question;
use darter_command_table::Command;
use std::path::PathBuf;

/// Reads users from a file.
pub(super) static LOAD: SessionCommand = SessionCommand::alone(
    Command {
        name: "LOAD",
        summary: "Reads the users from their file.",
        complexity: "O(N). Where N is the number of configured users.",
        ..BASE
    },
    |call| {
        let file = user_file(call)?;
        call.ask_own_worker(Question::LoadUsers(file))
    },
)
.within();

/// Writes users to a file.
pub(super) static SAVE: SessionCommand = SessionCommand::alone(
    Command {
        name: "SAVE",
        summary: "Writes the users to their file.",
        complexity: "O(N). Where N is the number of configured users.",
        tips: ALL_NODES,
        ..BASE
    },
    |call| {
        let file = user_file(call)?;
        call.ask_own_worker(Question::SaveUsers(file))
    },
)
.within();

fn user_file(call: &SessionCall<'_>) -> Result<PathBuf, ServerError> {
    let file = &call.shared.config.current().user_file;
    file.clone().ok_or(ServerError::NoUserFile)
}
