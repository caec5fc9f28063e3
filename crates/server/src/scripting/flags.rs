//! What a command may do, when that depends on the script it runs.

use super::run::Named;
use crate::session_command::SessionRun;
use crate::worker::Core;
use darter_command_table::{Entry, Flags};
use darter_resp::Args;
use darter_script::{Digest, ScriptFlags, script_header};

impl Core {
    /// The flags of a command with these arguments: a script that says of itself that it does not write
    /// does not, whatever command runs it.
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
        if script.is_some_and(|script| script.contains(ScriptFlags::NO_WRITES)) {
            flags.without(Flags::MAY_REPLICATE).without(Flags::WRITE)
        } else {
            flags
        }
    }
}
