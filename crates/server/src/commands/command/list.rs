//! COMMAND LIST: the names of commands.

use super::BASE;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_base::glob::{Case, glob_matches};
use darter_command_table::{Arg, Arity, Category, Command, Entry, ReplyError};
use darter_resp::Args;

/// The names of all commands, or of some.
pub(super) static LIST: SessionCommand = SessionCommand::alone(
    Command {
        name: "LIST",
        since: "7.0.0",
        summary: "The names of all commands, or of some.",
        complexity: "O(N) where N is the number of commands",
        arity: Arity::AtLeast(2),
        args: &[Arg::one_of(
            "filterby",
            &[
                Arg::string("module-name").token("MODULE"),
                Arg::string("category").token("ACLCAT"),
                Arg::pattern("pattern").token("PATTERN"),
            ],
        )
        .token("FILTERBY")
        .optional()],
        tips: &["nondeterministic_output_order"],
        ..BASE
    },
    list,
)
.within();

/// Which names are listed.
enum Filter<'a> {
    /// All.
    Everything,
    /// Those of modules, of which there are none.
    Module,
    /// Those of a category; `None`: of one there is not.
    Category(Option<Category>),
    /// Those whose name matches.
    Pattern(&'a [u8]),
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>) -> Result<Self, ReplyError> {
        if args.is_empty() {
            return Ok(Self::Everything);
        }
        if args.len() != 3 || !args.at(0).eq_ignore_ascii_case(b"FILTERBY") {
            return Err(ReplyError::Syntax);
        }
        match &*args.at(1).to_ascii_lowercase() {
            b"module" => Ok(Self::Module),
            b"aclcat" => Ok(Self::Category(Category::named(args.at(2)))),
            b"pattern" => Ok(Self::Pattern(args.at(2))),
            _ => Err(ReplyError::Syntax),
        }
    }

    fn admits(&self, entry: &Entry) -> bool {
        match self {
            Self::Everything => true,
            Self::Module => false,
            Self::Category(category) => {
                category.is_some_and(|category| entry.command.categories().has(category))
            }
            Self::Pattern(pattern) => {
                glob_matches(pattern, entry.full_name.as_bytes(), Case::Ignored)
            }
        }
    }

    fn collect<'t>(&self, entries: &'t [Entry], names: &mut Vec<&'t str>) {
        for entry in entries {
            if self.admits(entry) {
                names.push(&entry.full_name);
            }
            self.collect(&entry.subcommands, names);
        }
    }
}

fn list(call: &mut SessionCall<'_>) -> SessionResult {
    let filter = Filter::parse(call.args.tail(2))?;
    let mut names = Vec::new();
    filter.collect(call.shared.table.commands(), &mut names);
    let mut reply = call.reply();
    reply.array(names.len());
    for name in names {
        reply.bulk(name.as_bytes());
    }
    Ok(Flow::Next)
}
