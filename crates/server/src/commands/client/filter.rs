//! Which clients `CLIENT LIST` shows and `CLIENT KILL` closes.
//!
//! The grammar is Valkey 9's, of which Redis 7's is a part: options with a value each, most of them
//! also with `NOT-` in front. Of an option given twice the last counts, but for ID, which adds up.

use super::line;
use crate::commands::error::ServerError;
use crate::session::Session;
use darter_acl::Users;
use darter_base::UnixMillis;
use darter_base::number::parse_i64;
use darter_command_table::ReplyError;
use darter_resp::Args;
use darter_runtime::{ConnectionInfo, Ends, PeerAddress};
use std::mem::discriminant;

/// A class of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Sends commands and reads replies.
    Normal,
    /// The primary of this server.
    Primary,
    /// A replica of this server.
    Replica,
    /// A subscriber.
    Pubsub,
}

impl Class {
    /// The class of a client.
    fn of(session: &Session) -> Self {
        match session.facts.replica {
            Some(_) => Self::Replica,
            None if session.subscribes => Self::Pubsub,
            None => Self::Normal,
        }
    }

    fn named(name: &[u8]) -> Option<Self> {
        match &*name.to_ascii_lowercase() {
            b"normal" => Some(Self::Normal),
            b"master" | b"primary" => Some(Self::Primary),
            b"slave" | b"replica" => Some(Self::Replica),
            b"pubsub" => Some(Self::Pubsub),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Ids(Vec<u64>),
    AgeAtLeast(i64),
    IdleAtLeast(i64),
    Class(Class),
    Address(Vec<u8>),
    LocalAddress(Vec<u8>),
    Ip(Vec<u8>),
    User(Vec<u8>),
    Name(Vec<u8>),
    LibName(Vec<u8>),
    LibVersion(Vec<u8>),
    Flags(Vec<u8>),
    Capabilities(Vec<u8>),
    Db(u16),
}

/// Which clients are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// All of which must hold; each may be negated.
    conditions: Vec<(bool, Condition)>,
    /// Whether the asking client is left out; `None` when nothing was said.
    pub skips_asker: Option<bool>,
}

/// Letters of `FLAGS` that stand for something, whether or not a client here can have it.
const FLAG_LETTERS: &[u8] = b"OSMPxbtRBdcuAUreTIiEN";

impl Filter {
    /// The client with this number.
    pub fn client(id: u64) -> Self {
        Self { conditions: vec![(false, Condition::Ids(vec![id]))], skips_asker: None }
    }

    /// The client at this address.
    pub fn address(address: &[u8]) -> Self {
        let condition = Condition::Address(address.to_vec());
        Self { conditions: vec![(false, condition)], skips_asker: None }
    }

    /// Reads options and their values. `databases` is how many there are, `users` who.
    pub fn parse(args: Args<'_>, databases: u16, users: &Users) -> Result<Self, ReplyError> {
        let mut filter = Self::default();
        let mut index = 0;
        while let Some(option) = args.get(index) {
            let option = option.to_ascii_lowercase();
            index += 1;
            if matches!(&*option, b"id" | b"not-id") {
                let ids = leading_ids(args.tail(index))?;
                if ids.is_empty() {
                    return Err(ReplyError::Syntax);
                }
                index += ids.len();
                filter.add_ids(option.starts_with(b"not-"), ids);
                continue;
            }
            let value = args.get(index).ok_or(ReplyError::Syntax)?;
            index += 1;
            if option == b"skipme" {
                filter.skips_asker = Some(match &*value.to_ascii_lowercase() {
                    b"yes" => true,
                    b"no" => false,
                    _ => return Err(ReplyError::Syntax),
                });
                continue;
            }
            let (negated, name) = match option.strip_prefix(b"not-") {
                Some(name) => (true, name),
                None => (false, &*option),
            };
            filter.put(negated, condition(name, value, negated, databases, users)?);
        }
        Ok(filter)
    }

    fn add_ids(&mut self, negated: bool, ids: Vec<u64>) {
        for (known_negated, condition) in &mut self.conditions {
            if let Condition::Ids(known) = condition
                && *known_negated == negated
            {
                known.extend(ids);
                return;
            }
        }
        self.conditions.push((negated, Condition::Ids(ids)));
    }

    fn put(&mut self, negated: bool, condition: Condition) {
        let same = |(known_negated, known): &&mut (bool, Condition)| {
            *known_negated == negated && discriminant(known) == discriminant(&condition)
        };
        match self.conditions.iter_mut().find(same) {
            Some((_, known)) => *known = condition,
            None => self.conditions.push((negated, condition)),
        }
    }

    /// Whether the link to the primary is meant, of which nothing is known but its class and addresses: something must be
    /// said of these.
    pub fn means_primary(&self, ends: &Ends) -> bool {
        self.conditions.iter().any(|(_, condition)| condition.is_of_primary(ends).is_some())
            && self.conditions.iter().all(|(negated, condition)| {
                condition.is_of_primary(ends).unwrap_or(false) != *negated
            })
    }

    /// Whether a client is meant, the asking one aside.
    pub fn matches(&self, session: &Session, info: &ConnectionInfo, now: UnixMillis) -> bool {
        self.conditions
            .iter()
            .all(|(negated, condition)| condition.holds(session, info, now) != *negated)
    }
}

/// The numbers at the beginning of `args`, up to the first argument that is none.
fn leading_ids(args: Args<'_>) -> Result<Vec<u64>, ServerError> {
    args.iter()
        .map_while(parse_i64)
        .map(|id| u64::try_from(id).ok().filter(|id| *id > 0).ok_or(ServerError::ClientId))
        .collect()
}

fn condition(
    name: &[u8],
    value: &[u8],
    negated: bool,
    databases: u16,
    users: &Users,
) -> Result<Condition, ReplyError> {
    let text = value.to_vec();
    Ok(match name {
        b"maxage" if !negated => Condition::AgeAtLeast(positive(value, "maxage")?),
        b"idle" if !negated => Condition::IdleAtLeast(positive(value, "idle")?),
        b"type" => {
            Condition::Class(Class::named(value).ok_or(ServerError::UnknownClientType(text))?)
        }
        b"addr" => Condition::Address(text),
        b"laddr" => Condition::LocalAddress(text),
        b"ip" => Condition::Ip(text),
        b"user" if users.get(value).is_some() => Condition::User(text),
        b"user" => return Err(ServerError::NoSuchUser(text).into()),
        b"name" => Condition::Name(text),
        b"lib-name" => Condition::LibName(text),
        b"lib-ver" => Condition::LibVersion(text),
        b"flags" if text.iter().all(|letter| FLAG_LETTERS.contains(letter)) => {
            Condition::Flags(text)
        }
        b"flags" => return Err(ServerError::UnknownFlags { negated, flags: text }.into()),
        b"capa" if text.iter().all(|letter| *letter == b'r') => Condition::Capabilities(text),
        b"capa" => {
            return Err(ServerError::UnknownCapabilities { negated, capabilities: text }.into());
        }
        b"db" => {
            let db = parse_i64(value).ok_or(ServerError::FilterDbNotAnInteger { negated })?;
            let db = u16::try_from(db).ok().filter(|db| *db < databases);
            let last = databases - 1;
            Condition::Db(db.ok_or(ServerError::FilterDbOutOfRange { negated, last })?)
        }
        _ => return Err(ReplyError::Syntax),
    })
}

fn positive(value: &[u8], what: &'static str) -> Result<i64, ServerError> {
    let seconds = parse_i64(value).ok_or(ServerError::AgeNotAnInteger(what))?;
    if seconds > 0 { Ok(seconds) } else { Err(ServerError::AgeNotPositive(what)) }
}

impl Condition {
    /// Whether it holds for the link to the primary; `None` if that is not known.
    fn is_of_primary(&self, ends: &Ends) -> Option<bool> {
        match self {
            Self::Class(class) => Some(*class == Class::Primary),
            Self::Address(address) => Some(ends.remote.to_string().as_bytes() == address),
            Self::LocalAddress(address) => Some(ends.local.to_string().as_bytes() == address),
            Self::Ip(ip) => Some(ends.remote.ip().to_string().as_bytes() == ip),
            _ => None,
        }
    }

    fn holds(&self, session: &Session, info: &ConnectionInfo, now: UnixMillis) -> bool {
        let facts = &*session.facts;
        match self {
            Self::Ids(ids) => ids.contains(&session.client_id),
            Self::AgeAtLeast(seconds) => line::age_seconds(session, now) >= *seconds,
            Self::IdleAtLeast(seconds) => {
                i64::try_from(info.idle.as_secs()).is_ok_and(|idle| idle >= *seconds)
            }
            Self::Class(class) => *class == Class::of(session),
            Self::Address(address) => {
                line::address(session, &facts.peer.remote).as_bytes() == address
            }
            Self::LocalAddress(address) => {
                line::address(session, &facts.peer.local).as_bytes() == address
            }
            Self::Ip(ip) => match &facts.peer.remote {
                PeerAddress::Tcp(address) => address.ip().to_string().as_bytes() == ip,
                PeerAddress::Unix(_) => false,
            },
            Self::User(name) => session.access.user.name() == name,
            Self::Name(name) => !facts.name.is_empty() && facts.name == *name,
            Self::LibName(name) => !facts.lib_name.is_empty() && facts.lib_name == *name,
            Self::LibVersion(version) => {
                !facts.lib_version.is_empty() && facts.lib_version == *version
            }
            Self::Flags(letters) => {
                let flags = line::flags(session);
                letters.iter().all(|letter| flags.as_bytes().contains(letter))
            }
            Self::Capabilities(letters) => letters.is_empty() || facts.takes_redirects,
            Self::Db(db) => session.db.0 == *db,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use darter_command_table::Table;
    use darter_resp::OwnedArgs;

    fn parse(words: &str) -> Result<Filter, String> {
        let args: OwnedArgs = words.split_ascii_whitespace().collect();
        let users = Users::new(&Table::new(&[]));
        Filter::parse(args.as_args(), 16, &users).map_err(|error| error.to_string())
    }

    #[test]
    fn ids_add_up_and_end_at_the_next_option() {
        let filter = parse("ID 1 2 id 3 SKIPME no").unwrap();
        assert_eq!(filter.conditions, [(false, Condition::Ids(vec![1, 2, 3]))]);
        assert_eq!(filter.skips_asker, Some(false));
        assert_eq!(parse("ID 0"), Err("ERR client-id should be greater than 0".into()));
        assert_eq!(parse("ID what"), Err("ERR syntax error".into()));
        assert_eq!(parse("ID 1 what"), Err("ERR syntax error".into()));
    }

    #[test]
    fn the_last_of_equal_options_counts() {
        let filter = parse("NAME a NOT-NAME b NAME c").unwrap();
        assert_eq!(
            filter.conditions,
            [(false, Condition::Name(b"c".into())), (true, Condition::Name(b"b".into()))]
        );
    }

    #[test]
    fn the_link_to_the_primary_is_known_by_its_class_and_addresses() {
        let address = |text: &str| text.parse().unwrap();
        let ends = Ends { remote: address("127.0.0.1:6379"), local: address("127.0.0.2:50000") };
        for (words, is_meant) in [
            ("TYPE primary", true),
            ("TYPE normal", false),
            ("NOT-TYPE normal", true),
            ("ADDR 127.0.0.1:6379", true),
            ("ADDR 127.0.0.1:50000", false),
            ("NOT-ADDR 127.0.0.1:50000", true),
            ("LADDR 127.0.0.2:50000", true),
            ("IP 127.0.0.1", true),
            ("IP 127.0.0.1 TYPE replica", false),
            ("IP 127.0.0.1 NAME x", false),
            ("IP 127.0.0.1 NOT-NAME x", true),
            ("NOT-NAME x", false),
            ("ID 1", false),
        ] {
            assert_eq!(parse(words).unwrap().means_primary(&ends), is_meant, "{words}");
        }
        assert!(Filter::address(b"127.0.0.1:6379").means_primary(&ends));
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        for (words, text) in [
            ("TYPE x", "ERR Unknown client type 'x'"),
            ("USER nobody", "ERR No such user 'nobody'"),
            ("MAXAGE x", "ERR maxage is not an integer or out of range"),
            ("MAXAGE 0", "ERR maxage should be greater than 0"),
            ("IDLE -1", "ERR idle should be greater than 0"),
            ("FLAGS NZ", "ERR Unknown flags found in the provided filter: NZ"),
            ("NOT-FLAGS Q", "ERR Unknown flags found in the NOT-FLAGS filter: Q"),
            ("CAPA x", "ERR Unknown capa found in the provided filter: x"),
            ("DB 16", "ERR DB number should be between 0 and 15"),
            ("NOT-DB x", "ERR NOT-DB is not an integer or out of range"),
            ("SKIPME maybe", "ERR syntax error"),
            ("NOT-MAXAGE 1", "ERR syntax error"),
            ("ADDR", "ERR syntax error"),
        ] {
            assert_eq!(parse(words), Err(text.into()), "{words}");
        }
    }
}
