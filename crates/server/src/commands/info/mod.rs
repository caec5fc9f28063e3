//! INFO: the state of the server, section by section.
//!
//! Fields are rows (`field`), grouped into `sections`; each takes its value from one
//! `snapshot`, gathered over all shards and workers when the command runs. A field is only there
//! if its value is true: what Darter does not measure is left out.

pub(crate) mod field;
mod listing;
mod sections;
pub(crate) mod snapshot;
mod system;

use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_command_table::{Arg, Arity, Category, Command, Flags, Group, Handler, ShardView};
use field::{Content, Field, Section, When};
pub(crate) use field::{Shown, as_f64};
use sections::SECTIONS;
pub(crate) use snapshot::{DatabaseTotals, ShardTotals, Snapshot};
use std::fmt::{self, Write as _};
pub(crate) use system::{cpu_micros, resident_bytes};

/// The command of this folder.
pub static COMMANDS: &[&SessionCommand] = &[&INFO];

/// The state of the server.
pub static INFO: SessionCommand = SessionCommand::all_shards(
    Command {
        name: "INFO",
        group: Group::Server,
        summary: "The state of the server.",
        complexity: "O(1)",
        arity: Arity::AtLeast(1),
        flags: Flags::LOADING.and(Flags::STALE),
        acl: Category::DANGEROUS,
        args: &[Arg::string("section").optional().multiple()],
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        history: &[("7.0.0", "Added support for taking multiple section arguments.")],
        handler: Handler::Session,
        ..Command::BASE
    },
    info,
);

fn info(call: &mut SessionCall<'_>, view: &mut ShardView<'_>) -> SessionResult {
    let words: Vec<&[u8]> = call.args.tail(1).iter().collect();
    let snapshot = Snapshot::gather(call, view);
    let mut text = String::with_capacity(4096);
    for section in SECTIONS.iter().filter(|section| is_asked_for(section, &words)) {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        write_section(section, &snapshot, &mut text).expect("writing to a string does not fail");
    }
    call.reply().verbatim(*b"txt", text.as_bytes());
    Ok(Flow::Next)
}

/// The value of the field with this name, if there is one.
pub(crate) fn value(snapshot: &Snapshot, name: &str) -> Option<Shown> {
    fields().find(|field| field.name == name).map(|field| (field.value)(snapshot))
}

/// Whether there is a field with this name.
#[cfg(test)]
pub(crate) fn is_field(name: &str) -> bool {
    fields().any(|field| field.name == name)
}

fn fields() -> impl Iterator<Item = &'static Field> {
    SECTIONS.iter().flat_map(|section| match section.content {
        Content::Fields(fields) => fields,
        Content::Lines(_) => &[],
    })
}

fn write_section(section: &Section, snapshot: &Snapshot, text: &mut String) -> fmt::Result {
    write!(text, "# {}\r\n", section.title)?;
    match section.content {
        Content::Fields(fields) => {
            for field in fields {
                match (field.value)(snapshot) {
                    Shown::Absent => {}
                    Shown::Lines(lines) => text.push_str(&lines),
                    value => write!(text, "{}:{value}\r\n", field.name)?,
                }
            }
            Ok(())
        }
        Content::Lines(write) => write(snapshot, text),
    }
}

fn is_asked_for(section: &Section, words: &[&[u8]]) -> bool {
    let names = |word: &&[u8]| match &*word.to_ascii_lowercase() {
        b"all" | b"everything" => section.shown != When::Named,
        b"default" => section.shown == When::ByDefault,
        b"module_list" => section.title == "Modules",
        word => section.title.as_bytes().eq_ignore_ascii_case(word),
    };
    if words.is_empty() { section.shown == When::ByDefault } else { words.iter().any(names) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(words: &[&str]) -> Vec<&'static str> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let asked = SECTIONS.iter().filter(|section| is_asked_for(section, &words));
        asked.map(|section| section.title).collect()
    }

    #[test]
    fn sections_are_chosen_by_name() {
        assert_eq!(titles(&["KEYSPACE", "server", "nothing"]), ["Server", "Keyspace"]);
        assert_eq!(titles(&[]), titles(&["default"]));
        assert!(!titles(&[]).contains(&"Commandstats"));
        assert_eq!(titles(&["all"]).len(), SECTIONS.len() - 1);
        assert_eq!(titles(&["debug"]), ["Debug"]);
        assert_eq!(titles(&["commandstats", "all"]), titles(&["everything"]));
    }

    #[test]
    fn field_names_are_unique() {
        let mut names: Vec<&str> = fields().map(|field| field.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
