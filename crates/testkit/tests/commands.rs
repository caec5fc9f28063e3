//! Which commands there are: `docs/commands.md`, made by asking a running server about every command
//! that Redis 8 and Valkey 9 publish.

use darter_testkit::{Client, Server, Value, mode};
use std::fmt::Write as _;
use std::path::Path;

const HEAD: &str = "# Commands

<!-- Made by a test of darter-testkit from a running server; with DARTER_BLESS=1 in the environment the test
writes this file instead of comparing it. -->

Every command that Redis 8, Valkey 9 or the documentation of later versions lists, and whether Darter has it.
*Refused* means that it is known and answers the error that is shown. What is not there answers `ERR
unknown command`. Differences in what commands do are in [compatibility.md](compatibility.md).
";

/// Commands that are known and answer an error whatever they are given: name and arguments to send.
const REFUSED: &[(&str, &[&str])] = &[
    ("FAILOVER", &[]),
    ("MODULE LOAD", &["path"]),
    ("MODULE LOADEX", &["path"]),
    ("MODULE UNLOAD", &["name"]),
];

/// Groups that no server without modules has.
const MODULE_GROUPS: &[&str] = &["array", "vector_set"];

/// One line of the list.
struct Published {
    name: &'static str,
    group: &'static str,
    since: &'static str,
    redis: &'static str,
    valkey: &'static str,
}

fn published() -> impl Iterator<Item = Published> {
    include_str!("../../commands/tests/data/commands.tsv").lines().skip(1).map(|line| {
        let fields: Vec<&'static str> = line.split('\t').collect();
        let [name, group, since, _, _, _, redis, valkey, ..] = fields[..] else {
            panic!("a line of too few fields: {line}")
        };
        Published { name, group, since, redis, valkey }
    })
}

fn call(client: &mut Client, words: &[&str]) -> Value {
    client.call(words).expect("replies")
}

/// Whether the server lists a command of this name.
fn is_there(client: &mut Client, name: &str) -> bool {
    let Value::Array(infos) = call(client, &["COMMAND", "INFO", &name.replace(' ', "|")]) else {
        panic!("COMMAND INFO answers an array")
    };
    matches!(&infos[..], [Value::Array(_)])
}

/// The error that a command answers, if it is one of those that are refused.
fn refusal(client: &mut Client, name: &str) -> Option<String> {
    let (name, args) = REFUSED.iter().find(|(refused, _)| refused.eq_ignore_ascii_case(name))?;
    let words: Vec<&str> = name.split(' ').chain(args.iter().copied()).collect();
    match call(client, &words) {
        Value::Error(error) => Some(String::from_utf8_lossy(&error).into_owned()),
        other => panic!("{name} is said to be refused and answers {other:?}"),
    }
}

fn state(client: &mut Client, command: &Published) -> String {
    if !is_there(client, command.name) {
        return match (command.redis, command.valkey) {
            _ if MODULE_GROUPS.contains(&command.group) => "no: of a module".to_owned(),
            ("Y", _) | (_, "Y") => "**not yet**".to_owned(),
            _ => "no: newer than Redis 8 and Valkey 9".to_owned(),
        };
    }
    match refusal(client, command.name) {
        None => "yes".to_owned(),
        Some(error) => format!("refused: `{error}`"),
    }
}

/// Which servers have it, as far as the list knows.
fn origin(command: &Published) -> &'static str {
    match (command.redis, command.valkey) {
        ("Y", "Y") => "both",
        ("Y", _) => "Redis",
        (_, "Y") => "Valkey",
        _ => "later",
    }
}

#[test]
fn the_table_of_commands_is_what_the_server_says() {
    let program = mode::darter_binary().expect("darter builds");
    let server = Server::start(&mode::SERVER_MODES[0].spec(&program)).expect("darter starts");
    let mut client = server.connect().expect("connects");
    let mut commands: Vec<Published> =
        published().filter(|command| command.group != "sentinel").collect();
    commands.sort_by_key(|command| (command.group, command.name));
    let mut made = HEAD.to_owned();
    let mut group = "";
    for command in &commands {
        if command.group != group {
            group = command.group;
            write!(made, "\n## {group}\n\n| command | since | in | state |\n|---|---|---|---|\n")
                .expect("a string takes everything");
        }
        let (name, state) = (command.name.to_uppercase(), state(&mut client, command));
        writeln!(made, "| {name} | {} | {} | {state} |", command.since, origin(command))
            .expect("a string takes everything");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md");
    if std::env::var_os("DARTER_BLESS").is_some() {
        std::fs::write(&path, &made).expect("the file can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "docs/commands.md is not what the server says: run this test with DARTER_BLESS=1"
    );
}
