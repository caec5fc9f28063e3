//! What rules come to, over the commands about keys.

use crate::users::ConfigureError;
use crate::{Asked, ChangeError, ChannelDefault, Denial, Reason, RuleError, Rules, User, Users};
use darter_base::DbIndex;
use darter_command_table::{Access, Rename, Table};
use darter_commands::FAMILIES;
use darter_resp::OwnedArgs;
use std::sync::Arc;

fn table() -> Table {
    Table::new(FAMILIES)
}

fn rules(table: &Table) -> Rules<'_> {
    Rules { table, channels: ChannelDefault::None }
}

fn words(text: &str) -> Vec<&[u8]> {
    text.split_ascii_whitespace().map(str::as_bytes).collect()
}

/// The user that rules make of nobody.
fn user(table: &Table, given: &str) -> Arc<User> {
    let mut users = Users::new(table);
    users.set(b"u", &words(given), rules(table)).unwrap();
    Arc::clone(users.get(b"u").unwrap())
}

fn line(table: &Table, given: &str) -> String {
    String::from_utf8(user(table, given).line()).unwrap()
}

fn refusal(table: &Table, given: &str) -> String {
    let error = Users::new(table).set(b"u", &words(given), rules(table)).unwrap_err();
    String::from_utf8(error.text()).unwrap()
}

fn check_in(db: u16, table: &Table, user: &User, line: &str) -> Result<(), (Reason, usize)> {
    let args: OwnedArgs = line.split_ascii_whitespace().collect();
    let args = args.as_args();
    let entry = table.find(args).unwrap();
    user.check(&Asked { entry, args, db: DbIndex(db), databases: 16 })
        .map_err(|Denial { reason, index }| (reason, index))
}

fn check(table: &Table, user: &User, line: &str) -> Result<(), (Reason, usize)> {
    check_in(0, table, user, line)
}

#[test]
fn the_description_keeps_the_order_and_drops_what_is_void() {
    let table = table();
    for (given, expected) in [
        ("", "user u off resetchannels -@all"),
        ("on nopass ~* &* +@all", "user u on nopass ~* &* +@all"),
        ("allkeys allchannels allcommands", "user u off ~* &* +@all"),
        ("+@all -@hash -@slow +hget", "user u off resetchannels +@all -@hash -@slow +hget"),
        ("+@all -@hash -@slow +hget -@hash", "user u off resetchannels +@all -@slow +hget -@hash"),
        ("-@all +@HASH +@hash", "user u off resetchannels -@all +@hash"),
        ("+hget -hset +hset -hget", "user u off resetchannels -@all +hset -hget"),
        ("+object|freq +object|help -object", "user u off resetchannels -@all -object"),
        ("+object +OBJECT|freq", "user u off resetchannels -@all +object +object|freq"),
        ("+set|a +set|A +set", "user u off resetchannels -@all +set"),
        ("+@all +get nocommands +set", "user u off resetchannels -@all +set"),
        ("~a ~b ~a %R~c %W~c &x &x", "user u off ~a ~b ~c resetchannels &x -@all"),
        ("db=2,1 resetdbs", "user u off resetchannels resetdbs -@all"),
        ("resetdbs db=2,1", "user u off resetchannels db=1,2 -@all"),
        ("db=1 alldbs", "user u off resetchannels -@all"),
        ("( ~a +get ) (%R~b", "unmatched"),
        (
            "( ~a +get ) (%R~b db=3)",
            "user u off resetchannels -@all (~a resetchannels -@all +get) (%R~b resetchannels db=3 -@all)",
        ),
        ("(~a) clearselectors", "user u off resetchannels -@all"),
        ("on >p ~* +@all (~a) reset", "user u off resetchannels -@all"),
        ("skip-sanitize-payload sanitize-payload", "user u off resetchannels -@all"),
    ] {
        if expected == "unmatched" {
            let text = "Unmatched parenthesis in acl selector starting at '(%R~b'.";
            assert_eq!(refusal(&table, given), text);
        } else {
            assert_eq!(line(&table, given), expected, "{given}");
            // It makes the same user.
            let again = user(&table, expected.strip_prefix("user u ").unwrap());
            assert_eq!(again.line(), expected.as_bytes(), "{given}");
        }
    }
}

#[test]
fn rules_that_are_none_are_refused_with_a_reason() {
    let table = table();
    for (given, error) in [
        ("+nosuch", RuleError::Unknown),
        ("-nosuch", RuleError::Unknown),
        ("+@nosuch", RuleError::Unknown),
        ("+object|nosuch", RuleError::Unknown),
        ("-set|a", RuleError::Unknown),
        ("+", RuleError::Unknown),
        ("+set|", RuleError::Syntax),
        ("+object|freq|a", RuleError::FirstArgumentOfSubcommand),
        ("nonsense", RuleError::Syntax),
        ("%~a", RuleError::Syntax),
        ("#abc", RuleError::NoHash),
        ("!abc", RuleError::NoHash),
        ("<abc", RuleError::NoSuchPassword),
        ("db=x", RuleError::Syntax),
        ("db=-1", RuleError::DatabaseOutOfRange),
    ] {
        let expected = format!("Error in ACL SETUSER modifier '{given}': {error}");
        assert_eq!(refusal(&table, given), expected);
    }
    for (given, rule) in [("~* ~a", "~a"), ("&* &a", "&a"), ("(~* ~a)", "(~* ~a)")] {
        let text = refusal(&table, given);
        assert!(text.starts_with(&format!("Error in ACL SETUSER modifier '{rule}': Adding")));
    }
}

#[test]
fn an_error_changes_nothing() {
    let table = table();
    let mut users = Users::new(&table);
    users.set(b"u", &words("on +get"), rules(&table)).unwrap();
    let error = users.set(b"u", &words("off +set +nosuch"), rules(&table)).unwrap_err();
    assert!(matches!(error, ChangeError::Rule { error: RuleError::Unknown, .. }));
    assert_eq!(users.get(b"u").unwrap().line(), b"user u on resetchannels -@all +get");
    assert!(users.set(b"new", &words("+nosuch"), rules(&table)).is_err());
    assert!(users.get(b"new").is_none());
}

#[test]
fn commands_are_allowed_one_by_one_and_by_category() {
    let table = table();
    let denied = Err((Reason::Command, 0));
    let some = user(&table, "~* +@string -append +object|freq +sadd|first");
    for (line, expected) in [
        ("GET a", Ok(())),
        ("APPEND a b", denied),
        ("HGET a b", denied),
        ("OBJECT FREQ a", Ok(())),
        ("OBJECT ENCODING a", denied),
        ("SADD first a", Ok(())),
        ("SADD FIRST a", Ok(())),
        ("SADD other a", denied),
    ] {
        assert_eq!(check(&table, &some, line), expected, "{line}");
    }
    let whole = user(&table, "~* +object -object|freq");
    assert_eq!(check(&table, &whole, "OBJECT ENCODING a"), Ok(()));
    assert_eq!(check(&table, &whole, "OBJECT FREQ a"), denied);
}

#[test]
fn each_key_is_checked_for_what_happens_to_it() {
    let table = table();
    let some = user(&table, "+@all %R~r* %W~w* ~b*");
    let denied = |index| Err((Reason::Key, index));
    for (line, expected) in [
        ("GET r", Ok(())),
        ("GET w", denied(1)),
        ("GET x", denied(1)),
        ("SET w 1", Ok(())),
        ("SET r 1", denied(1)),
        ("SET w 1 GET", denied(1)),
        ("SET b 1 GET", Ok(())),
        ("DEL w", Ok(())),
        ("EXISTS w", Ok(())),
        ("EXISTS x", denied(1)),
        ("MGET r1 b r2 x r3", denied(4)),
        ("COPY r w", Ok(())),
        ("COPY w r", denied(1)),
        ("COPY r r", denied(2)),
        ("SINTERSTORE w r b", Ok(())),
        ("SINTERCARD 2 r x", denied(3)),
        ("BITFIELD r GET u8 0", Ok(())),
        ("BITFIELD r OVERFLOW FAIL GET u8 0", Ok(())),
        ("BITFIELD r GET u8 0 SET u8 0 1", denied(1)),
        ("BITFIELD r nonsense", denied(1)),
        ("SORT r STORE w", Ok(())),
        ("SORT r STORE w STORE r", denied(5)),
        ("XREADGROUP COUNT 1 GROUP STREAMS r STREAMS x >", denied(7)),
        ("GEORADIUS r 0 0 1 km STORE w STORE x", denied(9)),
    ] {
        assert_eq!(check(&table, &some, line), expected, "{line}");
    }
    assert!(some.may_access(b"r1", Access::ACCESS) && !some.may_access(b"r1", Access::UPDATE));
}

#[test]
fn databases_are_those_selected_and_those_named() {
    let table = table();
    let some = user(&table, "+@all ~* db=0,1");
    let denied = |index| Err((Reason::Database, index));
    assert_eq!(check_in(1, &table, &some, "GET a"), Ok(()));
    assert_eq!(check_in(2, &table, &some, "GET a"), denied(0));
    assert_eq!(check_in(2, &table, &some, "DBSIZE"), denied(0));
    for (line, expected) in [
        ("MOVE a 1", Ok(())),
        ("MOVE a 2", denied(2)),
        ("MOVE a x", Ok(())),
        ("SWAPDB 0 1", Ok(())),
        ("SWAPDB 0 2", denied(2)),
        ("COPY a b DB 1 REPLACE", Ok(())),
        ("COPY a b DB 1 DB 2", denied(6)),
        ("COPY a b DB 2 DB 1", denied(4)),
        ("COPY a b DB 2 nonsense", Ok(())),
        ("FLUSHDB", Ok(())),
        ("FLUSHALL", denied(0)),
    ] {
        assert_eq!(check(&table, &some, line), expected, "{line}");
    }
    assert_eq!(check_in(2, &table, &some, "MOVE a 1"), denied(0));
    assert_eq!(check_in(2, &table, &some, "SWAPDB 0 1"), Ok(()));
}

#[test]
fn one_selector_must_allow_all_of_a_command() {
    let table = table();
    let some = user(&table, "~a +get (~b +set) (~c* +@all)");
    for (line, expected) in [
        ("GET a", Ok(())),
        ("SET b 1", Ok(())),
        ("GET b", Err((Reason::Key, 1))),
        ("SET a 1", Err((Reason::Key, 1))),
        ("MGET c1 c2 x c3 y", Err((Reason::Key, 3))),
        ("GET c", Ok(())),
    ] {
        assert_eq!(check(&table, &some, line), expected, "{line}");
    }
    assert!(!some.may_do_everything());
    assert!(user(&table, "(~* &* +@all)").may_do_everything());
    assert!(!user(&table, "~* (&* +@all)").may_do_everything());
    assert!(!user(&table, "~* &* +@all -get").may_do_everything());
    assert!(!user(&table, "~* &* +@all resetdbs").may_do_everything());
}

#[test]
fn reading_every_key_takes_a_selector_that_allows_the_command() {
    let table = table();
    let args: OwnedArgs = "SORT a BY w*".split(' ').collect();
    let args = args.as_args();
    let asked = Asked { entry: table.find(args).unwrap(), args, db: DbIndex(0), databases: 16 };
    for (given, expected) in [
        ("+sort ~*", true),
        ("+sort ~a %R~*", true),
        ("+sort ~a", false),
        ("+sort %W~* ~a", false),
        ("+sort ~a (~* +get)", false),
        ("+sort ~a (~* +sort)", true),
    ] {
        assert_eq!(user(&table, given).may_run_and_read_all(&asked), expected, "{given}");
    }
}

#[test]
fn passwords_open_an_enabled_user() {
    let table = table();
    let one = user(&table, "on >secret >other <other");
    assert!(one.admits(b"secret") && !one.admits(b"other") && !one.admits(b""));
    assert!(!user(&table, ">secret").admits(b"secret"), "it is off");
    assert!(user(&table, "on nopass").admits(b"anything"));
    assert!(!user(&table, "on nopass resetpass").admits(b"anything"));
    let hashed =
        user(&table, "on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b");
    assert!(hashed.admits(b"secret"));
}

#[test]
fn channels_are_none_or_all_by_default() {
    let table = table();
    let all = Rules { table: &table, channels: ChannelDefault::All };
    let mut users = Users::new(&table);
    users.set(b"u", &words("+get (~a)"), all).unwrap();
    assert_eq!(users.get(b"u").unwrap().line(), b"user u off &* -@all +get (~a &* -@all)");
    users.set(b"u", &words("resetchannels reset"), all).unwrap();
    assert_eq!(users.get(b"u").unwrap().line(), b"user u off &* -@all");
}

#[test]
fn commands_that_nobody_can_call_are_still_rules() {
    let renames = [
        Rename { from: b"GET".to_vec(), to: b"fetch".to_vec() },
        Rename { from: b"SET".to_vec(), to: Vec::new() },
    ];
    let table = Table::renamed(&[FAMILIES.concat().as_slice()], &renames).unwrap();
    assert_eq!(line(&table, "+get +set"), "user u off resetchannels -@all +get +set");
    assert_eq!(
        refusal(&table, "+fetch").split_once("': ").unwrap().1,
        RuleError::Unknown.to_string()
    );
    assert_eq!(check(&table, &user(&table, "~* +get"), "FETCH a"), Ok(()));
}

#[test]
fn users_are_removed_and_told_from_their_namesakes() {
    let table = table();
    let mut users = Users::new(&table);
    users.set(b"u", &words("on"), rules(&table)).unwrap();
    let id = users.get(b"u").unwrap().id();
    users.set(b"u", &words("off"), rules(&table)).unwrap();
    assert_eq!(users.get(b"u").unwrap().id(), id);
    assert!(users.remove(b"u").is_some() && users.remove(b"u").is_none());
    assert!(users.remove(b"default").is_none(), "there always is a default user");
    users.set(b"u", &words("on"), rules(&table)).unwrap();
    assert_ne!(users.get(b"u").unwrap().id(), id);
}

#[test]
fn lines_of_the_configuration_make_the_default_user_anew() {
    let table = table();
    let mut users = Users::new(&table);
    let rules = rules(&table);
    users.configure(b"default", &words("on nopass ~a +get"), rules).unwrap();
    let line = users.default_user().line();
    assert_eq!(line, b"user default on nopass ~a resetchannels -@all +get");
    users.configure(b"u", &words("on"), rules).unwrap();
    assert_eq!(users.configure(b"u", &[], rules), Err(ConfigureError::Duplicate));
    assert_eq!(users.configure(b"a b", &[], rules), Err(ConfigureError::Name));
    users.set_default_password(b"pw", rules);
    assert!(users.default_user().admits(b"pw") && !users.default_user().admits(b""));
    users.set_default_password(b"", rules);
    assert!(users.default_user().is_open());
}

#[test]
fn a_file_replaces_everybody_or_nobody() {
    let table = table();
    let mut users = Users::new(&table);
    users.set(b"old", &words("on"), rules(&table)).unwrap();
    users.set(b"kept", &words("on"), rules(&table)).unwrap();
    let file = b"\n user kept on ~a  +get\r\nuser new on >p (~a\t+set)\n";
    let new = users.replaced_by_file(file, "f", rules(&table)).unwrap();
    let names: Vec<&[u8]> = new.iter().map(|user| user.name()).collect();
    assert_eq!(names, [b"default".as_slice(), b"kept", b"new"]);
    assert_eq!(new.get(b"kept").unwrap().id(), users.get(b"kept").unwrap().id());
    assert!(new.default_user().is_open());
    let again = users.replaced_by_file(&new.lines(), "f", rules(&table)).unwrap();
    assert_eq!(again.lines(), new.lines());
    for (text, error) in [
        ("nonsense", "f:1 should start with user keyword followed by the username. "),
        ("user", "f:1 should start with user keyword followed by the username. "),
        ("user a\tb on", "'f:1: username 'a\tb' contains invalid characters. "),
        ("user a on\nuser a on", "WARNING: Duplicate user 'a' found on line 2. "),
        ("user a (~a", "f:1: Unmatched parenthesis in selector definition."),
        (
            "user a +nosuch",
            "f:1: Error in applying operation '+nosuch': Unknown command or category name in ACL. ",
        ),
        ("\nuser a nonsense more", "f:2: Syntax error. "),
    ] {
        let errors = users.replaced_by_file(text.as_bytes(), "f", rules(&table)).unwrap_err();
        let end = "WARNING: ACL errors detected, no change to the previously active ACL rules was \
                   performed";
        assert_eq!(String::from_utf8(errors).unwrap(), format!("{error}{end}"));
    }
}
