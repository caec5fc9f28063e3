//! What a script or a function says about itself: in its first line (`#!lua flags=no-writes`), or when it
//! is registered.

use darter_base::split_args::split_args;

/// Promises and wishes of a script. Without a first line that says so, a script has none of them but may
/// do everything ([`ScriptFlags::LEGACY`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptFlags(u8);

/// The names flags have, in the order FUNCTION LIST shows them.
const NAMES: [(&str, ScriptFlags); 5] = [
    ("no-writes", ScriptFlags::NO_WRITES),
    ("allow-oom", ScriptFlags::ALLOW_OOM),
    ("allow-stale", ScriptFlags::ALLOW_STALE),
    ("no-cluster", ScriptFlags::NO_CLUSTER),
    ("allow-cross-slot-keys", ScriptFlags::ALLOW_CROSS_SLOT_KEYS),
];

impl ScriptFlags {
    /// It does not write.
    pub const NO_WRITES: Self = Self(1);
    /// It may write while memory is above its limit.
    pub const ALLOW_OOM: Self = Self(1 << 1);
    /// It may run on a replica that lost its primary.
    pub const ALLOW_STALE: Self = Self(1 << 2);
    /// It does not run in a cluster.
    pub const NO_CLUSTER: Self = Self(1 << 3);
    /// It may touch keys of several slots.
    pub const ALLOW_CROSS_SLOT_KEYS: Self = Self(1 << 4);
    /// It has no first line with flags: as scripts were before Redis 7.
    pub const LEGACY: Self = Self(1 << 5);

    /// Whether it has all of `flags`.
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }

    /// The flag called `name`, in any case if `any_case`.
    pub(crate) fn named(name: &[u8], any_case: bool) -> Option<Self> {
        NAMES
            .iter()
            .find(|(known, _)| {
                let known = known.as_bytes();
                if any_case { known.eq_ignore_ascii_case(name) } else { known == name }
            })
            .map(|(_, flag)| *flag)
    }

    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        NAMES.iter().filter(move |(_, flag)| self.contains(*flag)).map(|(name, _)| *name)
    }
}

/// A script's text, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    pub flags: ScriptFlags,
    /// What is compiled: without the first line, but with its end, so that lines keep their numbers.
    pub body: &'a [u8],
}

/// Reads the first line of a script. Errs with an error line, code included.
pub fn script_header(text: &[u8]) -> Result<Header<'_>, Vec<u8>> {
    if !text.starts_with(b"#!") {
        return Ok(Header { flags: ScriptFlags::LEGACY, body: text });
    }
    let (words, body) = first_line(text, "ERR Invalid script shebang")?;
    let Some((engine, options)) = words.split_first() else {
        return Err(b"ERR Invalid engine in script shebang".to_vec());
    };
    if engine != b"#!lua" {
        let name = engine.strip_prefix(b"#!").unwrap_or(engine);
        return Err([b"ERR Could not find scripting engine '", name, b"'"].concat());
    }
    let mut flags = ScriptFlags::default();
    for option in options {
        let Some(names) = option.strip_prefix(b"flags=") else {
            return Err(line("ERR Unknown lua shebang option: ", option));
        };
        if names.is_empty() {
            continue;
        }
        for name in names.split(|byte| *byte == b',') {
            let Some(flag) = ScriptFlags::named(name, false) else {
                return Err(line("ERR Unexpected flag in script shebang: ", name));
            };
            flags = flags.and(flag);
        }
    }
    Ok(Header { flags, body })
}

/// A library's text, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryHeader<'a> {
    pub name: Vec<u8>,
    /// As [`Header::body`].
    pub body: &'a [u8],
}

/// Reads the first line of a library. Errs with an error line, code included.
pub fn library_header(text: &[u8]) -> Result<LibraryHeader<'_>, Vec<u8>> {
    if !text.starts_with(b"#!") {
        return Err(b"ERR Missing library metadata".to_vec());
    }
    let (words, body) = first_line(text, "ERR Invalid library metadata")?;
    let Some((engine, options)) = words.split_first() else {
        return Err(b"ERR Invalid library metadata".to_vec());
    };
    let mut found: Option<Vec<u8>> = None;
    for option in options {
        let is_name = option.len() >= 5 && option[..5].eq_ignore_ascii_case(b"name=");
        if !is_name {
            return Err(line("ERR Invalid metadata value given: ", option));
        }
        if found.is_some() {
            return Err(
                b"ERR Invalid metadata value, name argument was given multiple times".to_vec()
            );
        }
        found = Some(option[5..].to_vec());
    }
    let Some(name) = found else {
        return Err(b"ERR Library name was not given".to_vec());
    };
    if !is_name(&name) {
        return Err(NAME_ERROR.as_bytes().to_vec());
    }
    let engine = &engine[2..];
    if !engine.eq_ignore_ascii_case(b"lua") {
        return Err([b"ERR Engine '", engine, b"' not found"].concat());
    }
    Ok(LibraryHeader { name, body })
}

/// What is said of a library's or function's name that [`is_name`] refuses.
const NAME_ERROR: &str = "ERR Library names can only contain letters, numbers, or underscores(_) \
                          and must be at least one character long";

/// Whether libraries and functions may be called this.
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// The words of a line, unquoted.
type Words = Vec<Vec<u8>>;

/// The words of the first line, and what follows them, its line end included.
fn first_line<'a>(text: &'a [u8], otherwise: &'static str) -> Result<(Words, &'a [u8]), Vec<u8>> {
    let malformed = || otherwise.as_bytes().to_vec();
    let end = memchr::memchr(b'\n', text).ok_or_else(malformed)?;
    let words = split_args(&text[..end]).map_err(|_| malformed())?;
    Ok((words, &text[end..]))
}

fn line(before: &str, after: &[u8]) -> Vec<u8> {
    [before.as_bytes(), after].concat()
}
