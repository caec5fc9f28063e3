//! The declarations, against each other and against what Redis and Valkey publish.
//!
//! `data/commands.tsv` lists what `COMMAND INFO` of Redis 8 and Valkey 9 say of every command, with
//! what their documentation says of later ones. Where the two differ it follows Valkey, but for
//! deprecations, of which Valkey has fewer.

use darter_command_table::{
    Access, ArgKind, Begin, Command, Entry, Find, Flags, Group, Handler, Rename, RenameError, Table,
};
use darter_commands::FAMILIES;
use darter_commands::server::{debug, memory};

/// One line of the list.
struct Published {
    name: String,
    group: &'static str,
    since: &'static str,
    /// Unknown for some commands that only documentation tells of.
    arity: Option<i64>,
    flags: Vec<&'static str>,
    categories: Vec<&'static str>,
    deprecated: bool,
}

fn published() -> Vec<Published> {
    let list = |field: &'static str| {
        let mut words: Vec<_> = field.split(',').filter(|word| !word.is_empty()).collect();
        words.sort_unstable();
        words
    };
    include_str!("data/commands.tsv")
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&'static str> = line.split('\t').collect();
            Published {
                name: fields[0].replace(' ', "|"),
                group: fields[1],
                since: since_of(fields[2]),
                arity: fields[3].parse().ok(),
                flags: list(fields[4]),
                categories: list(fields[5]),
                deprecated: fields[8] == "Y",
            }
        })
        .collect()
}

/// The version, Valkey's if it has the command since another one than Redis.
fn since_of(field: &'static str) -> &'static str {
    field.split(' ').find_map(|word| word.strip_suffix("(valkey)")).unwrap_or(field)
}

/// Every command and subcommand, with its full name.
fn declared(table: &Table) -> Vec<&Entry> {
    let with_subcommands =
        |entry| std::iter::once(entry).chain(entry_subcommands(entry)).collect::<Vec<_>>();
    table.commands().iter().flat_map(with_subcommands).collect()
}

fn entry_subcommands(entry: &Entry) -> std::slice::Iter<'_, Entry> {
    entry.subcommands.iter()
}

/// What the server lists in containers of its own.
static SUBCOMMANDS_ELSEWHERE: &[&Command] =
    &[&debug::DIGEST, &debug::DIGEST_VALUE, &debug::OBJECT, &debug::POPULATE, &memory::USAGE];

fn all_commands(table: &Table) -> Vec<(&str, &'static Command)> {
    let here = declared(table).into_iter().map(|entry| (entry.full_name.as_str(), entry.command));
    here.chain(SUBCOMMANDS_ELSEWHERE.iter().map(|command| (command.name, *command))).collect()
}

#[test]
fn declarations_say_what_is_published() {
    let table = Table::new(FAMILIES);
    let published = published();
    let here = declared(&table).into_iter().map(|entry| (entry.full_name.clone(), entry.command));
    for (name, command) in here.chain([("memory|usage".to_owned(), &memory::USAGE)]) {
        let Some(line) = published.iter().find(|line| line.name == name) else {
            panic!("nobody else has {name}");
        };
        let sorted = |mut words: Vec<&'static str>| {
            words.sort_unstable();
            words
        };
        assert_eq!(command.group.name(), line.group.replace('_', "-"), "{name}");
        assert_eq!(command.since, line.since, "{name}");
        assert_eq!(Some(command.arity.signed()), line.arity, "{name}");
        assert_eq!(sorted(command.flags.names().collect()), line.flags, "{name}");
        assert_eq!(sorted(command.categories().names().collect()), line.categories, "{name}");
        assert_eq!(command.deprecated.is_some(), line.deprecated, "{name}");
    }
}

#[test]
fn subcommands_of_debug_are_flagged_as_debug_is() {
    let published = published();
    let debug = published.iter().find(|line| line.name == "debug").unwrap();
    for command in SUBCOMMANDS_ELSEWHERE.iter().filter(|command| command.name != "USAGE") {
        for flag in &debug.flags {
            assert!(command.flags.names().any(|name| name == *flag), "{} {flag}", command.name);
        }
    }
}

#[test]
fn the_families_of_this_crate_are_complete() {
    /// These need what no shard has: other servers, the journal, the file format, or somebody to wait.
    const ELSEWHERE: &[&str] = &[
        "migrate",
        "wait",
        "waitaof",
        "blmove",
        "blmpop",
        "blpop",
        "brpop",
        "brpoplpush",
        // Redis 8.6 and later, not in Valkey 9.
        "blmovem",
        "himport",
        "lmovem",
        "xcfgset",
        "xidmprecord",
        "xnack",
        // Only the documentation of a later version tells of these.
        "sdiffcard",
        "sunioncard",
        // What blocks comes with transactions.
        "bzmpop",
        "bzpopmax",
        "bzpopmin",
    ];
    let table = Table::new(FAMILIES);
    for line in published() {
        let groups = [
            Group::Bitmap,
            Group::Generic,
            Group::Geo,
            Group::Hash,
            Group::HyperLogLog,
            Group::List,
            Group::Set,
            Group::SortedSet,
            Group::Stream,
            Group::String,
        ];
        let ours = groups.iter().any(|group| group.name() == line.group.replace('_', "-"));
        let container = line.name.split('|').next().unwrap_or_default();
        if ours && !ELSEWHERE.contains(&container) {
            assert!(table.full_named(line.name.as_bytes()).is_some(), "{} is missing", line.name);
        }
    }
}

#[test]
fn fixed_keys_are_inside_the_arity() {
    let table = Table::new(FAMILIES);
    for (name, command) in all_commands(&table) {
        let least = usize::try_from(command.arity.signed().unsigned_abs()).unwrap();
        for spec in command.keys {
            let last_needed = match (spec.begin, spec.find) {
                (Begin::Index(index), Find::Range { last, .. }) if last >= 0 => {
                    index + usize::try_from(last).unwrap()
                }
                (Begin::Index(index), Find::Count { at, .. }) => index + at,
                _ => continue,
            };
            assert!(last_needed < least, "{name}: argument {last_needed} of {least}");
        }
    }
}

#[test]
fn access_agrees_with_the_flags() {
    let table = Table::new(FAMILIES);
    for (name, command) in all_commands(&table) {
        let reads = |spec: &Access| spec.has(Access::READ_ONLY);
        let writes = command.keys.iter().any(|spec| !reads(&spec.access));
        // PFCOUNT keeps its result in the value.
        let may_write = command.flags.has(Flags::WRITE) || command.flags.has(Flags::MAY_REPLICATE);
        assert!(!writes || may_write, "{name} writes to a key");
        let both = command.flags.has(Flags::WRITE) && command.flags.has(Flags::READONLY);
        assert!(!both, "{name} both writes and does not");
        for spec in command.keys {
            let kinds = [Access::READ_ONLY, Access::READ_WRITE, Access::OVERWRITE, Access::REMOVE];
            let count = kinds.iter().filter(|kind| spec.access.has(**kind)).count();
            assert_eq!(count, 1, "{name}: the first group of access flags is exclusive");
        }
    }
}

#[test]
fn documented_keys_have_their_specs() {
    let table = Table::new(FAMILIES);
    for (name, command) in all_commands(&table) {
        let mut documented = vec![false; command.keys.len()];
        for arg in command.args {
            let nested = match arg.kind {
                ArgKind::OneOf(args) | ArgKind::Block(args) => args,
                _ => &[],
            };
            for arg in std::iter::once(arg).chain(nested) {
                if let ArgKind::Key(spec) = arg.kind {
                    documented[usize::from(spec)] = true;
                }
            }
        }
        // What nobody can find has no argument of its own.
        for (spec, documented) in command.keys.iter().zip(documented) {
            let is_found = !matches!(spec.begin, Begin::Unknown);
            assert!(documented || !is_found, "{name}: a key without a name");
        }
    }
}

#[test]
fn only_commands_with_keys_run_on_the_shards_of_their_keys() {
    let table = Table::new(FAMILIES);
    for (name, command) in all_commands(&table) {
        match command.handler {
            Handler::Keyed(_) => {
                assert!(!command.keys.is_empty() || command.name == "HELP", "{name}");
            }
            Handler::AllShards(_) => assert!(command.keys.is_empty(), "{name}"),
            // With keys or without: each says itself which shards it visits.
            Handler::Sliced(_) => {}
            Handler::Container => assert!(!command.subcommands.is_empty(), "{name}"),
            Handler::Session => panic!("{name}: this crate knows no session"),
        }
    }
}

#[test]
fn every_command_is_described() {
    let table = Table::new(FAMILIES);
    for (name, command) in all_commands(&table) {
        assert!(command.summary.ends_with('.'), "{name}: {:?}", command.summary);
        assert!(!command.complexity.is_empty(), "{name}");
        assert_eq!(command.name, command.name.to_uppercase());
    }
}

#[test]
fn a_renamed_command_answers_to_its_new_name_only() {
    let rename = |from: &str, to: &str| Rename { from: from.into(), to: to.into() };
    let renames =
        [rename("flushDB", "badger"), rename("keys", ""), rename("GET", "x"), rename("set", "Get")];
    let table = Table::renamed(FAMILIES, &renames).unwrap();
    assert_eq!(table.named(b"BADGER").unwrap().full_name, "flushdb");
    assert_eq!(table.named(b"get").unwrap().full_name, "set");
    assert!(table.named(b"flushdb").is_none() && table.named(b"keys").is_none());
    assert!(table.commands().iter().all(|entry| entry.full_name != "keys"));
}

#[test]
fn a_rename_that_cannot_be_is_told_by_its_number() {
    let rename = |from: &str, to: &str| Rename { from: from.into(), to: to.into() };
    let refused = |renames: &[Rename]| Table::renamed(FAMILIES, renames).unwrap_err();
    assert_eq!(refused(&[rename("nothing", "x")]), (0, RenameError::NoSuchCommand));
    assert_eq!(refused(&[rename("get", "x"), rename("set", "X")]), (1, RenameError::NameTaken));
    assert_eq!(refused(&[rename("get", ""), rename("get", "x")]), (1, RenameError::NoSuchCommand));
    let not_text = Rename { from: b"get".to_vec(), to: vec![0xff] };
    assert_eq!(refused(&[not_text]), (0, RenameError::NotText));
}
