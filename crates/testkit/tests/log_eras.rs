//! Logs as servers of all times have laid them out: one file of commands, one that begins with RDB data, and directories of
//! several files under any names; whole, and ending early. What Redis loads of them is loaded here.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::Path;
use std::process::Command;

use darter_testkit::diff::contents::{Contents, first_difference, read};
use darter_testkit::durable::{call, in_directory, kill, ok};
use darter_testkit::mode::{SERVER_MODES, ServerMode, darter_binary};
use darter_testkit::old_forms::{File, string};
use darter_testkit::request::{encode, words};
use darter_testkit::{Server, ServerSpec, StartError, Value};

/// One shard and many, over both reactors.
const MODES: [ServerMode; 2] = [SERVER_MODES[0], SERVER_MODES[6]];

/// Files of a directory, by their paths, and how a server is told of them.
struct Layout {
    name: String,
    files: Vec<(String, Vec<u8>)>,
    options: Vec<String>,
    /// Whether a server starts with them.
    is_sound: bool,
}

impl Layout {
    fn of(name: &str, files: &[(&str, &[u8])]) -> Self {
        let owned = |(path, bytes): &(&str, &[u8])| ((*path).to_owned(), bytes.to_vec());
        let files = files.iter().map(owned).collect();
        Self { name: name.to_owned(), files, options: Vec::new(), is_sound: true }
    }

    fn with(mut self, options: &[&str]) -> Self {
        self.options = options.iter().map(|&option| option.to_owned()).collect();
        self
    }

    fn refused(mut self) -> Self {
        self.is_sound = false;
        self
    }

    fn options(&self) -> Vec<&str> {
        self.options.iter().map(String::as_str).chain(["--appendonly", "yes"]).collect()
    }

    fn write(&self, directory: &Path) {
        for (path, bytes) in &self.files {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}

/// Requests, one a line.
fn requests(lines: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines {
        encode(&words(line), &mut out);
    }
    out
}

/// RDB data with a string.
fn preamble() -> Vec<u8> {
    let mut file = File::new(9);
    file.aux("aof-preamble", "1");
    file.database(2);
    file.key("base", 0, &string(b"1"));
    file.finish()
}

fn all(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// All but the last `len` bytes.
fn cut(bytes: &[u8], len: usize) -> &[u8] {
    &bytes[..bytes.len() - len]
}

const SINGLE: &str = "appendonly.aof";

/// Those of Redis before 7.0.
fn single_files() -> Vec<Layout> {
    let some = requests(&["SELECT 0", "SET a 1", "RPUSH l x y", "SELECT 3", "SET b 2"]);
    let more = requests(&["SELECT 0", "SET c 1", "SELECT 5", "INCRBY n 7"]);
    let transaction = requests(&["SELECT 0", "SET b 1", "MULTI", "SET a 1", "INCR a"]);
    let words_of_old = requests(&[
        "select 0",
        "SET s 1",
        "PEXPIREAT s 4118000000123",
        "SETEX t 1000000000 v",
        "EXPIREAT t 4118000000",
        "HMSET h f v",
        "RPOPLPUSH none other",
        "GEORADIUS none 0 0 1 km STORE none",
        "ZADD z 1 m inf n",
        "SWAPDB 0 1",
        "MULTI",
        "EXEC",
    ]);
    let text = "return redis.call('get', KEYS[1])";
    let mut script = Vec::new();
    encode(&["SCRIPT", "LOAD", text], &mut script);
    let flush = requests(&["SELECT 0", "SET x 1", "FLUSHALL", "SCRIPT FLUSH", "SET y 1"]);
    let timed = all(&[b"#TS:1700000000\r\n", &some, b"#TS:1700000001\r\n", &more]);
    let single = |name: &str, bytes: &[u8]| Layout::of(name, &[(SINGLE, bytes)]);
    vec![
        single("commands", &some),
        single("no database is selected", &requests(&["SET a 1"])),
        single("nothing", b""),
        single("words of old versions", &words_of_old),
        single("scripts that were loaded", &all(&[&some, &script, &more])),
        single("scripts that were forgotten", &all(&[&script, &flush])),
        single("RDB data", &preamble()),
        single("RDB data and commands", &all(&[&preamble(), &more])),
        single("RDB data and an end cut off", cut(&all(&[&preamble(), &more]), 3)),
        single("an end within a command", cut(&some, 5)),
        single("an end within a transaction", &transaction),
        single("an end within a command of a transaction", cut(&transaction, 2)),
        single("an end that is not to be cut off", &transaction)
            .with(&["--aof-load-truncated", "no"])
            .refused(),
        single("times", &timed),
        single("garbage behind it", &all(&[&some, b"xyzzy"])).refused(),
        single("a command that nobody knows", &all(&[&some, &requests(&["NOSUCH x"])])).refused(),
    ]
}

/// A manifest of these lines.
fn manifest(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| format!("{line}\n").into_bytes()).collect()
}

const MANIFEST: &str = "appendonlydir/appendonly.aof.manifest";
const FIRST: &str = "appendonlydir/appendonly.aof.1.incr.aof";
const SECOND: &str = "appendonlydir/appendonly.aof.2.incr.aof";
const BASE: &str = "appendonlydir/appendonly.aof.1.base.rdb";
const FIRST_LINE: &str = "file appendonly.aof.1.incr.aof seq 1 type i";
const SECOND_LINE: &str = "file appendonly.aof.2.incr.aof seq 2 type i";
const BASE_LINE: &str = "file appendonly.aof.1.base.rdb seq 1 type b";

fn directories() -> Vec<Layout> {
    let first = requests(&["SELECT 4", "SET a 1"]);
    let second = requests(&["SET b 1"]);
    let open = requests(&["SELECT 0", "SET c 1", "MULTI", "SET d 1"]);
    let base = preamble();
    let of_two = manifest(&[FIRST_LINE, SECOND_LINE]);
    let two = |name: &str, first: &[u8], second: &[u8]| {
        Layout::of(name, &[(MANIFEST, &of_two), (FIRST, first), (SECOND, second)])
    };
    let one =
        |name: &str, line: &str| Layout::of(name, &[(MANIFEST, line.as_bytes()), (FIRST, &first)]);
    let lines = [
        "file appendonly.aof.2.base.rdb seq 2 type b",
        "file appendonly.aof.1.base.rdb seq 1 type h",
        "file appendonly.aof.1.incr.aof seq 1 type h",
        SECOND_LINE,
        "file appendonly.aof.3.incr.aof seq 3 type i",
    ];
    let base_path = "appendonlydir/appendonly.aof.2.base.rdb";
    let third = "appendonlydir/appendonly.aof.3.incr.aof";
    let plain_base = "file appendonly.aof.1.base.aof seq 1 type b";
    let plain_base_path = "appendonlydir/appendonly.aof.1.base.aof";
    vec![
        Layout::of(
            "a base and a file",
            &[(MANIFEST, &manifest(&[BASE_LINE, FIRST_LINE])), (BASE, &base), (FIRST, &first)],
        ),
        Layout::of(
            "a base of commands",
            &[
                (MANIFEST, &manifest(&[plain_base, FIRST_LINE])),
                (plain_base_path, &second),
                (FIRST, &first),
            ],
        ),
        Layout::of(
            "a base of both",
            &[(MANIFEST, &manifest(&[plain_base])), (plain_base_path, &all(&[&base, &second]))],
        ),
        Layout::of(
            "history, some of which is gone",
            &[
                (MANIFEST, &manifest(&lines)),
                (base_path, &base),
                (SECOND, &first),
                (third, &second),
                (FIRST, b"junk"),
            ],
        ),
        two("each file is about database 0 until it says another", &first, &second),
        two("an empty last file", &first, b""),
        two("the last file ends within a transaction", &first, &open),
        two("another file follows one that ends early", cut(&first, 3), &second).refused(),
        two("a transaction over two files", &open, &requests(&["EXEC"])).refused(),
        Layout::of("a file is missing", &[(MANIFEST, &of_two), (FIRST, &first)]).refused(),
        Layout::of(
            "nothing in it",
            &[(MANIFEST, format!("{FIRST_LINE}\n").as_bytes()), (FIRST, b"")],
        ),
        one(
            "words in another order, and a comment",
            "#hello\nfile appendonly.aof.1.incr.aof type i seq 1\n",
        ),
        // Valkey and Redis 8 note where in the stream of replication a file begins.
        one("offsets", &format!("{FIRST_LINE} startoffset 0 endoffset 50\n")),
        one("a word to come", &format!("{FIRST_LINE} newthing 3\n")),
        one("no end of the line", FIRST_LINE).refused(),
        one("an empty line", &format!("{FIRST_LINE}\n\n")).refused(),
        one("an unknown type", "file appendonly.aof.1.incr.aof seq 1 type q\n").refused(),
        one("a path", "file ../appendonly.aof.1.incr.aof seq 1 type i\n").refused(),
        one("numbers that fall", &format!("{SECOND_LINE}\n{FIRST_LINE}\n")).refused(),
        Layout::of("an empty manifest", &[(MANIFEST, b"")]).refused(),
        Layout::of(
            "one file beside a directory",
            &[(SINGLE, &second), (MANIFEST, format!("{FIRST_LINE}\n").as_bytes()), (FIRST, &first)],
        ),
        Layout::of(
            "one file that has been moved into the directory",
            &[
                (MANIFEST, b"file appendonly.aof seq 1 type b\n"),
                ("appendonlydir/appendonly.aof", &second),
            ],
        ),
        Layout::of(
            "one file that was to be moved into the directory",
            &[(MANIFEST, b"file appendonly.aof seq 1 type b\n"), (SINGLE, &second)],
        ),
        Layout::of(
            "the name has changed",
            &[(MANIFEST, format!("{FIRST_LINE}\n").as_bytes()), (FIRST, &first)],
        )
        .with(&["--appendfilename", "other.aof"]),
        Layout::of(
            "the directory has changed",
            &[(MANIFEST, format!("{FIRST_LINE}\n").as_bytes()), (FIRST, &first)],
        )
        .with(&["--appenddirname", "other"]),
        Layout::of(
            "a directory with a space",
            &[
                ("my dir/appendonly.aof.manifest", format!("{FIRST_LINE}\n").as_bytes()),
                ("my dir/appendonly.aof.1.incr.aof", &first),
            ],
        )
        .with(&["--appenddirname", "my dir"]),
    ]
}

/// Names that have to be quoted in a manifest.
fn names() -> Vec<Layout> {
    let first = requests(&["SELECT 4", "SET a 1"]);
    let odd =
        ["app only.aof", "we\"ird.aof", "qu'ote.aof", "ünï.aof", "tab\there.aof", "#hash.aof"];
    let layouts = odd.map(|name| {
        let quoted = |ending: &str| {
            let escaped = name.bytes().map(|byte| match byte {
                b'"' => format!("\\{}", char::from(byte)),
                b'\t' => "\\t".to_owned(),
                b' '..=b'~' => char::from(byte).to_string(),
                _ => format!("\\x{byte:02x}"),
            });
            format!("\"{}{ending}\"", escaped.collect::<String>())
        };
        let lines = [
            format!("file {} seq 1 type b", quoted(".1.base.rdb")),
            format!("file {} seq 1 type i", quoted(".1.incr.aof")),
        ];
        let path = |ending: &str| format!("appendonlydir/{name}{ending}");
        let files = vec![
            (path(".manifest"), manifest(&lines.each_ref().map(String::as_str))),
            (path(".1.base.rdb"), preamble()),
            (path(".1.incr.aof"), first.clone()),
        ];
        let options = vec!["--appendfilename".to_owned(), name.to_owned()];
        let of_directory = Layout { name: format!("{name:?}"), files, options, is_sound: true };
        let files = vec![(name.to_owned(), first.clone())];
        let options = of_directory.options.clone();
        [
            of_directory,
            Layout { name: format!("{name:?}, one file"), files, options, is_sound: true },
        ]
    });
    layouts.into_iter().flatten().collect()
}

/// What a server has made of a layout, and whether it knows a script; or why it has not loaded that.
fn loaded(
    spec: &ServerSpec,
    layout: &Layout,
    directory: &Path,
) -> Result<(Contents, Value), StartError> {
    let server = Server::start(&in_directory(spec, directory, &layout.options()))?;
    let mut client = server.connect().unwrap();
    let known = call(&mut client, "SCRIPT EXISTS 4e6d8fc8bb01276962cce5371fa795a7763657ae");
    Ok((read(server.address()).unwrap(), known))
}

/// Whoever has loaded a layout goes on with it, and loads what comes of that.
fn goes_on(spec: &ServerSpec, layout: &Layout, directory: &Path) {
    // What is answered is in the files.
    let options = [&layout.options()[..], &["--appendfsync", "always"]].concat();
    let spec = in_directory(spec, directory, &options);
    let mut server = Server::start(&spec).unwrap();
    let mut client = server.connect().unwrap();
    assert_eq!(call(&mut client, "SET more 1"), ok());
    let contents = read(server.address()).unwrap();
    kill(&mut server);
    let server = Server::start(&spec).unwrap_or_else(|error| panic!("{}: {error}", layout.name));
    if let Some(difference) = first_difference(&contents, &read(server.address()).unwrap()) {
        panic!("{}, {}, gone on with: {difference}", spec.name, layout.name);
    }
}

fn peers() -> Vec<ServerSpec> {
    let found = Command::new("valkey-server").arg("--version").output();
    let has_valkey =
        found.is_ok_and(|found| String::from_utf8_lossy(&found.stdout).contains("v=9."));
    let valkey = has_valkey.then_some("valkey-server");
    let spec = |peer: &str| ServerSpec {
        name: peer.to_owned(),
        program: peer.into(),
        arguments: ["--enable-debug-command", "yes", "--save", ""].map(str::to_owned).to_vec(),
    };
    ["redis-server"].into_iter().chain(valkey).map(spec).collect()
}

#[test]
fn logs_of_all_layouts_are_loaded_as_redis_loads_them() {
    let layouts = [single_files(), directories(), names()].into_iter().flatten();
    for layout in layouts {
        let with = |spec: &ServerSpec, goes_on_with_it: bool| {
            let directory = tempfile::tempdir().unwrap();
            layout.write(directory.path());
            let loaded = loaded(spec, &layout, directory.path());
            if loaded.is_ok() && goes_on_with_it {
                goes_on(spec, &layout, directory.path());
            }
            loaded
        };
        let references = peers().into_iter().map(|peer| (peer.name.clone(), with(&peer, false)));
        let references: Vec<_> = references.collect();
        for mode in MODES {
            let spec = mode.spec(&darter_binary().unwrap());
            let ours = with(&spec.with_arguments(&["--save".to_owned(), String::new()]), true);
            assert_eq!(ours.is_ok(), layout.is_sound, "{mode}: {}: {ours:?}", layout.name);
            for (peer, theirs) in &references {
                assert_eq!(theirs.is_ok(), layout.is_sound, "{peer}: {}: {theirs:?}", layout.name);
                let (Ok((theirs, knew)), Ok((ours, knows))) = (theirs, &ours) else { continue };
                assert_eq!(knew, knows, "{peer}, {mode}: {}", layout.name);
                if let Some(difference) = first_difference(theirs, ours) {
                    panic!("{peer}, {mode}: {}: {difference}", layout.name);
                }
            }
        }
    }
}
