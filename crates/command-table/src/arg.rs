//! The grammar of a command's arguments, as `COMMAND DOCS` publishes it.

/// What one argument is.
#[derive(Clone, Copy, Debug)]
pub enum ArgKind {
    /// A key, found by the key-spec with this index.
    Key(u8),
    /// Any bytes.
    String,
    /// A signed 64-bit number.
    Integer,
    /// A floating-point number.
    Double,
    /// A glob pattern.
    Pattern,
    /// A pattern that keys are made from, those of the key-spec with this index.
    KeyPattern(u8),
    /// A point in time since the epoch.
    UnixTime,
    /// A literal word.
    PureToken,
    /// Exactly one of these.
    OneOf(&'static [Arg]),
    /// These, in order.
    Block(&'static [Arg]),
}

impl ArgKind {
    /// The name `COMMAND DOCS` gives this kind.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key(_) => "key",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Double => "double",
            Self::Pattern | Self::KeyPattern(_) => "pattern",
            Self::UnixTime => "unix-time",
            Self::PureToken => "pure-token",
            Self::OneOf(_) => "oneof",
            Self::Block(_) => "block",
        }
    }
}

/// One argument, or group of arguments, of a command.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// Its name in documentation.
    pub name: &'static str,
    /// What a hint shows for it.
    pub display_text: &'static str,
    /// What it is.
    pub kind: ArgKind,
    /// The word that introduces it, if any.
    pub token: Option<&'static str>,
    /// The version that added it, when later than the command.
    pub since: Option<&'static str>,
    /// May be left out.
    pub optional: bool,
    /// May be repeated.
    pub multiple: bool,
    /// The token is repeated together with the argument.
    pub multiple_token: bool,
}

impl Arg {
    const fn new(name: &'static str, kind: ArgKind) -> Self {
        Self {
            name,
            display_text: name,
            kind,
            token: None,
            since: None,
            optional: false,
            multiple: false,
            multiple_token: false,
        }
    }

    /// A key, found by the command's first key-spec.
    pub const fn key(name: &'static str) -> Self {
        Self::new(name, ArgKind::Key(0))
    }

    /// A key, found by the key-spec with this index.
    pub const fn key_by(name: &'static str, spec: u8) -> Self {
        Self::new(name, ArgKind::Key(spec))
    }

    /// Any bytes.
    pub const fn string(name: &'static str) -> Self {
        Self::new(name, ArgKind::String)
    }

    /// A signed 64-bit number.
    pub const fn integer(name: &'static str) -> Self {
        Self::new(name, ArgKind::Integer)
    }

    /// A floating-point number.
    pub const fn double(name: &'static str) -> Self {
        Self::new(name, ArgKind::Double)
    }

    /// A glob pattern.
    pub const fn pattern(name: &'static str) -> Self {
        Self::new(name, ArgKind::Pattern)
    }

    /// A pattern that keys are made from, those of the key-spec with this index.
    pub const fn key_pattern(name: &'static str, spec: u8) -> Self {
        Self::new(name, ArgKind::KeyPattern(spec))
    }

    /// A point in time since the epoch; the name says in which unit.
    pub const fn unix_time(name: &'static str) -> Self {
        Self::new(name, ArgKind::UnixTime)
    }

    /// The literal word `token`.
    pub const fn word(name: &'static str, token: &'static str) -> Self {
        Self::new(name, ArgKind::PureToken).token(token)
    }

    /// Exactly one of `choices`.
    pub const fn one_of(name: &'static str, choices: &'static [Self]) -> Self {
        Self::new(name, ArgKind::OneOf(choices))
    }

    /// All of `parts`, in order.
    pub const fn block(name: &'static str, parts: &'static [Self]) -> Self {
        Self::new(name, ArgKind::Block(parts))
    }

    /// Shown as `text` where its name would not tell what to write.
    #[must_use]
    pub const fn shown(mut self, text: &'static str) -> Self {
        self.display_text = text;
        self
    }

    /// Introduced by the word `token`.
    #[must_use]
    pub const fn token(mut self, token: &'static str) -> Self {
        self.token = Some(token);
        self
    }

    /// Added by version `since` of the command.
    #[must_use]
    pub const fn since(mut self, since: &'static str) -> Self {
        self.since = Some(since);
        self
    }

    /// May be left out.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// May be repeated.
    #[must_use]
    pub const fn multiple(mut self) -> Self {
        self.multiple = true;
        self
    }

    /// May be repeated, each time with its token.
    #[must_use]
    pub const fn multiple_with_token(mut self) -> Self {
        self.multiple = true;
        self.multiple_token = true;
        self
    }
}
