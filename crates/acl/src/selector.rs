//! A selector: a set of rules that is enough by itself to run a command.

use crate::commands::Commands;
use crate::error::RuleError;
use crate::patterns::{Channels, Databases, KeyAccess, Keys};
use crate::permission::{Asked, Denial, Reason};
use crate::users::{ChannelDefault, Rules};
use darter_base::DbIndex;
use darter_base::number::parse_i64;
use darter_base::split_args::split_args;
use darter_command_table::{Category, ChannelUse, DatabaseUse, EachDatabase, Flags};

/// What may be done by those of a user's commands that this allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    pub(crate) commands: Commands,
    pub(crate) keys: Keys,
    pub(crate) channels: Channels,
    pub(crate) databases: Databases,
}

impl Selector {
    /// One that allows nothing but the channels that everybody may use.
    pub fn new(channels: ChannelDefault) -> Self {
        let mut this = Self::default();
        if channels == ChannelDefault::All {
            this.channels.allow_all();
        }
        this
    }

    /// One of the rules within the parentheses `(…)` of a rule.
    pub(crate) fn parse(inner: &[u8], rules: Rules<'_>) -> Result<Self, RuleError> {
        let mut this = Self::new(rules.channels);
        // As in Redis, what cannot be split has no rules.
        for rule in split_args(inner).unwrap_or_default() {
            this.apply(&rule, rules)?;
        }
        Ok(this)
    }

    /// Does as a rule says. After an error it may have changed.
    pub(crate) fn apply(&mut self, rule: &[u8], rules: Rules<'_>) -> Result<(), RuleError> {
        match &*rule.to_ascii_lowercase() {
            b"allkeys" | b"~*" => self.keys.allow_all(),
            b"resetkeys" => self.keys.reset(),
            b"allchannels" | b"&*" => self.channels.allow_all(),
            b"resetchannels" => self.channels.reset(),
            b"alldbs" => self.databases.allow_all(),
            b"resetdbs" => self.databases.reset(),
            b"allcommands" | b"+@all" => self.commands.allow_all(rules.table),
            b"nocommands" | b"-@all" => self.commands.allow_none(),
            [b'd', b'b', b'=', list @ ..] => return self.databases.set(list),
            _ => match rule {
                [b'~' | b'%', ..] => return self.keys.add(rule),
                [b'&', pattern @ ..] => return self.channels.add(pattern),
                [b'+', what @ ..] => return self.commands.change(true, what, rules.table),
                [b'-', what @ ..] => return self.commands.change(false, what, rules.table),
                _ => return Err(RuleError::Syntax),
            },
        }
        Ok(())
    }

    /// Whether everything is allowed.
    pub const fn allows_everything(&self) -> bool {
        self.commands.are_all()
            && self.keys.are_all()
            && self.channels.are_all()
            && self.databases.are_all()
    }

    /// Whether a command may be run.
    pub fn check(&self, asked: &Asked<'_>) -> Result<(), Denial> {
        self.check_databases(asked)?;
        let Asked { entry, args, .. } = *asked;
        let command = entry.command;
        if !command.flags.has(Flags::NO_AUTH) && !self.commands.allow(entry, args) {
            return Err(Denial { reason: Reason::Command, index: 0 });
        }
        if !self.keys.are_all() {
            let mut denied = None;
            command.each_key_access(args, |index, access| {
                if denied.is_none()
                    && !self.keys.allow(args.at(index), KeyAccess::needed_for(access))
                {
                    denied = Some(index);
                }
            });
            if let Some(index) = denied {
                return Err(Denial { reason: Reason::Key, index });
            }
        }
        self.check_channels(asked)
    }

    fn check_channels(&self, asked: &Asked<'_>) -> Result<(), Denial> {
        let Some(used) = asked.entry.command.channels.filter(|_| !self.channels.are_all()) else {
            return Ok(());
        };
        let count = if used == ChannelUse::Publishes { 1 } else { usize::MAX };
        for (index, channel) in asked.args.iter().enumerate().skip(1).take(count) {
            let is_allowed = match used {
                ChannelUse::SubscribesToPatterns => self.channels.allow_pattern(channel),
                ChannelUse::Publishes | ChannelUse::Subscribes => self.channels.allow(channel),
            };
            if !is_allowed {
                return Err(Denial { reason: Reason::Channel, index });
            }
        }
        Ok(())
    }

    fn check_databases(&self, asked: &Asked<'_>) -> Result<(), Denial> {
        if self.databases.are_all() {
            return Ok(());
        }
        let denied = |index| Err(Denial { reason: Reason::Database, index });
        let command = asked.entry.command;
        let allows_selected = || self.databases.allow(asked.db);
        match command.databases {
            DatabaseUse::Named(each_database) => {
                if let Some(index) = self.first_denied(each_database, asked) {
                    return denied(index);
                }
                if command.has_keys() && !allows_selected() {
                    return denied(0);
                }
            }
            DatabaseUse::All => {
                if !(0..asked.databases).all(|db| self.databases.allow(DbIndex(db))) {
                    return denied(0);
                }
            }
            DatabaseUse::Selected => {
                let categories = command.categories();
                let is_about_data = [Category::KEYSPACE, Category::READ, Category::WRITE]
                    .into_iter()
                    .any(|category| categories.has(category));
                if (is_about_data || command.has_keys()) && !allows_selected() {
                    return denied(0);
                }
            }
        }
        Ok(())
    }

    /// The first of the databases among the arguments that is not allowed; none if one of them is no database,
    /// which the command refuses by itself.
    fn first_denied(&self, each_database: EachDatabase, asked: &Asked<'_>) -> Option<usize> {
        let (mut first, mut are_databases) = (None, true);
        each_database(asked.args, &mut |index| {
            let number = asked.args.get(index).and_then(parse_i64);
            let db = number.and_then(|number| u16::try_from(number).ok());
            match db.filter(|db| *db < asked.databases) {
                None => are_databases = false,
                Some(db) if !self.databases.allow(DbIndex(db)) => first = first.or(Some(index)),
                Some(_) => {}
            }
        });
        first.filter(|_| are_databases)
    }

    /// The rules that come to this.
    pub fn describe(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let mut add = |rules: &[u8]| {
            if !rules.is_empty() {
                text.extend_from_slice(rules);
                text.push(b' ');
            }
        };
        add(&self.keys.describe());
        if !self.channels.are_all() {
            add(b"resetchannels");
        }
        add(&self.channels.describe());
        if !self.databases.are_all() {
            add(self.databases.describe().unwrap_or("resetdbs".to_owned()).as_bytes());
        }
        text.extend(self.commands.describe());
        text
    }

    /// The rules by what they are about, as `ACL GETUSER` shows them.
    pub fn fields(&self) -> [(&'static str, Vec<u8>); 4] {
        let databases = if self.databases.are_all() {
            "alldbs".to_owned()
        } else {
            self.databases.describe().unwrap_or_default()
        };
        [
            ("commands", self.commands.describe()),
            ("keys", self.keys.describe()),
            ("channels", self.channels.describe()),
            ("databases", databases.into_bytes()),
        ]
    }
}
