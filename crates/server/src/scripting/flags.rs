//! What a command may do, when that depends on the script it runs.

use super::run::Named;
use crate::session_command::SessionRun;
use crate::worker::Core;
use darter_command_table::{Entry, Flags};
use darter_resp::Args;
use darter_script::{Digest, ScriptFlags, script_header};

impl Core {
    /// The flags of a command with these arguments: what a script says of itself holds, whatever command runs it. Of one that
    /// says nothing it shows when it runs.
    pub fn flags_of(&self, entry: &Entry, args: Args<'_>) -> Flags {
        let flags = entry.command.flags;
        let Some(SessionRun::Script(source)) = self.shared.session_run(entry.id) else {
            return flags;
        };
        let scripts = &self.shared.scripts;
        let name = args.at(1);
        let script = match source.named {
            Named::ByText => script_header(name).ok().map(|header| header.flags),
            Named::ByDigest => {
                let script = Digest::parse(name).and_then(|digest| scripts.find(&digest));
                script.map(|script| script.flags)
            }
            Named::ByFunction => scripts.libraries().function(name).map(|function| function.flags),
        };
        match script {
            Some(script) if !script.contains(ScriptFlags::LEGACY) => declared(flags, script),
            _ => flags,
        }
    }
}

/// The flags of a command that runs a script which says this of itself.
fn declared(of_command: Flags, script: ScriptFlags) -> Flags {
    let mut flags = of_command
        .without(Flags::MAY_REPLICATE)
        .without(Flags::WRITE)
        .without(Flags::DENYOOM)
        .without(Flags::STALE);
    if !script.contains(ScriptFlags::NO_WRITES) {
        flags = flags.and(Flags::WRITE);
        if !script.contains(ScriptFlags::ALLOW_OOM) {
            flags = flags.and(Flags::DENYOOM);
        }
    }
    if script.contains(ScriptFlags::ALLOW_STALE) {
        flags = flags.and(Flags::STALE);
    }
    flags
}
