//! Why a rule, or a file of users, is refused: the texts as clients see them.

use std::fmt;

/// Why a rule is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// No command or category has this name.
    Unknown,
    /// It is no rule.
    Syntax,
    /// A pattern of keys where all are allowed already.
    KeysAfterAll,
    /// The same of channels.
    ChannelsAfterAll,
    /// A password is to be removed that is none of the user's.
    NoSuchPassword,
    /// What is no digest of a password.
    NoHash,
    /// A first argument behind a subcommand.
    FirstArgumentOfSubcommand,
    /// A database that cannot be.
    DatabaseOutOfRange,
}

impl fmt::Display for RuleError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unknown => "Unknown command or category name in ACL",
            Self::Syntax => "Syntax error",
            Self::KeysAfterAll => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does \
                 not have any effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            Self::ChannelsAfterAll => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and \
                 does not have any effect. Try 'resetchannels' to start with an empty list of \
                 channels"
            }
            Self::NoSuchPassword => {
                "The password you are trying to remove from the user does not exist"
            }
            Self::NoHash => {
                "The password hash must be exactly 64 characters and contain only lowercase \
                 hexadecimal characters"
            }
            Self::FirstArgumentOfSubcommand => {
                "Allowing first-arg of a subcommand is not supported"
            }
            Self::DatabaseOutOfRange => "The provided database ID is out of range",
        })
    }
}

impl std::error::Error for RuleError {}

/// Why the users of a change are not taken, in the words of the client's reply without its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// A rule of `ACL SETUSER`, and why.
    Rule { rule: Vec<u8>, error: RuleError },
    /// A selector that is not closed begins here.
    Unmatched(Vec<u8>),
}

impl ChangeError {
    /// The text, in which rules stand as they were given.
    pub fn text(&self) -> Vec<u8> {
        match self {
            Self::Rule { rule, error } => {
                let end = format!("': {error}");
                [b"Error in ACL SETUSER modifier '", rule.as_slice(), end.as_bytes()].concat()
            }
            Self::Unmatched(begin) => {
                [b"Unmatched parenthesis in acl selector starting at '", begin.as_slice(), b"'."]
                    .concat()
            }
        }
    }
}
