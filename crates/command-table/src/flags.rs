//! A command's flags, by the names `COMMAND INFO` gives them.

/// A set of command flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $text:literal;)*) => {
        impl Flags {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*

            /// Every flag with its published name, in the order `COMMAND INFO` lists them; an empty
            /// name is not published.
            const NAMES: &'static [(Self, &'static str)] = &[$((Self::$name, $text),)*];
        }
    };
}

flags! {
    /// May change data.
    WRITE = 0, "write";
    /// Reads data and never changes it.
    READONLY = 1, "readonly";
    /// Refused when memory is above its limit.
    DENYOOM = 2, "denyoom";
    /// An administrative command.
    ADMIN = 3, "admin";
    /// Publishes or subscribes.
    PUBSUB = 4, "pubsub";
    /// Not callable from a script.
    NOSCRIPT = 5, "noscript";
    /// May wait for other clients.
    BLOCKING = 6, "blocking";
    /// Allowed while a data set is being loaded.
    LOADING = 7, "loading";
    /// Allowed on a replica whose data are stale.
    STALE = 8, "stale";
    /// Left out of `MONITOR`.
    SKIP_MONITOR = 9, "skip_monitor";
    /// Left out of the slow log.
    SKIP_SLOWLOG = 10, "skip_slowlog";
    /// Accepted in cluster mode for a slot being imported.
    ASKING = 11, "asking";
    /// Constant or logarithmic time.
    FAST = 12, "fast";
    /// Allowed before authentication.
    NO_AUTH = 13, "no_auth";
    /// May be propagated although it is not a write.
    MAY_REPLICATE = 14, "";
    /// Its keys must be given in one call, without defaults (`KEYS`-less forms).
    NO_MANDATORY_KEYS = 15, "no_mandatory_keys";
    /// Refused unless the configuration allows it (`enable-debug-command`).
    PROTECTED = 16, "";
    /// Not loaded while loading asynchronously.
    NO_ASYNC_LOADING = 17, "no_async_loading";
    /// Not allowed inside a transaction.
    NO_MULTI = 18, "no_multi";
    /// Keys cannot all be found from fixed positions.
    MOVABLEKEYS = 19, "movablekeys";
    /// Allowed while a script overruns its time.
    ALLOW_BUSY = 20, "allow_busy";
    /// Runs at once where other commands are queued for a transaction.
    AT_ONCE = 21, "";
    /// Allowed to a RESP2 client that has subscriptions.
    FOR_SUBSCRIBERS = 24, "";
}

impl Flags {
    /// No flag.
    pub const NONE: Self = Self(0);

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether every flag of `other` is in this set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Published names of the flags in this set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .iter()
            .filter(move |(flag, name)| !name.is_empty() && self.has(*flag))
            .map(|(_, name)| *name)
    }
}
