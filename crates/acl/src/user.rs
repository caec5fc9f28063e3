//! A user: a name, passwords, and selectors.

use crate::error::RuleError;
use crate::listed::Listed;
use crate::password::PasswordHash;
use crate::patterns::{Channels, KeyAccess};
use crate::permission::{Asked, Denial, Reason};
use crate::selector::Selector;
use crate::users::{ChannelDefault, Rules};
use darter_command_table::Access;

/// Who clients are that have not said who they are. There always is one.
pub const DEFAULT_USER: &[u8] = b"default";

/// A user. A value: who holds one sees it as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    name: Box<[u8]>,
    /// Tells it from others that had the name before it.
    id: u64,
    enabled: bool,
    /// Whether any password is right.
    needs_no_password: bool,
    passwords: Listed<PasswordHash, ()>,
    /// The one of the rules outside of parentheses, which there always is.
    root: Selector,
    /// Those within, in their order.
    selectors: Vec<Selector>,
    /// Whether one of those allows everything.
    selectors_allow_everything: bool,
}

impl User {
    /// One that may do nothing.
    pub(crate) fn new(name: &[u8], id: u64, channels: ChannelDefault) -> Self {
        Self {
            name: name.into(),
            id,
            enabled: false,
            needs_no_password: false,
            passwords: Listed::default(),
            root: Selector::new(channels),
            selectors: Vec::new(),
            selectors_allow_everything: false,
        }
    }

    /// The same rules for another one.
    pub(crate) fn renumbered(mut self, id: u64) -> Self {
        self.id = id;
        self
    }

    /// Does as a rule says. After an error it may have changed.
    pub(crate) fn apply(&mut self, rule: &[u8], rules: Rules<'_>) -> Result<(), RuleError> {
        match &*rule.to_ascii_lowercase() {
            b"" | b"sanitize-payload" | b"skip-sanitize-payload" => {}
            b"on" => self.enabled = true,
            b"off" => self.enabled = false,
            b"nopass" => {
                (self.needs_no_password, self.passwords) = (true, Listed::default());
            }
            b"resetpass" => {
                (self.needs_no_password, self.passwords) = (false, Listed::default());
            }
            b"clearselectors" => {
                (self.selectors, self.selectors_allow_everything) = (Vec::new(), false);
            }
            b"reset" => {
                *self = Self::new(&self.name, self.id, rules.channels);
            }
            _ => match rule {
                [b'>', password @ ..] => self.add_password(PasswordHash::of(password)),
                [b'#', digits @ ..] => {
                    self.add_password(PasswordHash::parse(digits).ok_or(RuleError::NoHash)?);
                }
                [b'<', password @ ..] => self.remove_password(PasswordHash::of(password))?,
                [b'!', digits @ ..] => {
                    self.remove_password(PasswordHash::parse(digits).ok_or(RuleError::NoHash)?)?;
                }
                [b'(', inner @ .., b')'] => {
                    let selector = Selector::parse(inner, rules)?;
                    self.selectors_allow_everything |= selector.allows_everything();
                    self.selectors.push(selector);
                }
                _ => self.root.apply(rule, rules)?,
            },
        }
        Ok(())
    }

    fn add_password(&mut self, password: PasswordHash) {
        if !self.passwords.contains(&password) {
            self.passwords.push(password, ());
        }
        self.needs_no_password = false;
    }

    fn remove_password(&mut self, password: PasswordHash) -> Result<(), RuleError> {
        if self.passwords.remove(&password) { Ok(()) } else { Err(RuleError::NoSuchPassword) }
    }

    /// Its name.
    pub const fn name(&self) -> &[u8] {
        &self.name
    }

    /// The same for as long as the user is: of one that is deleted and made again it is another.
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Whether somebody can become it.
    pub const fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether everybody is it who does not say otherwise; of the default user.
    pub const fn is_open(&self) -> bool {
        self.enabled && self.needs_no_password
    }

    /// Whether any password is right.
    pub const fn needs_no_password(&self) -> bool {
        self.needs_no_password
    }

    /// Whether somebody becomes it by saying `password`.
    pub fn admits(&self, password: &[u8]) -> bool {
        let is_right = || {
            let given = PasswordHash::of(password);
            let known = self.passwords.iter().map(|(known, ())| known);
            known.fold(false, |found, known| found | known.is_same(&given))
        };
        self.enabled && (self.needs_no_password || is_right())
    }

    /// Whether it may do everything, so that nothing need be asked.
    pub const fn may_do_everything(&self) -> bool {
        self.selectors_allow_everything || self.root.allows_everything()
    }

    fn all_selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.selectors)
    }

    /// Whether it may run a command: whether one selector allows all of it. Of several denials the one counts
    /// that came closest.
    pub fn check(&self, asked: &Asked<'_>) -> Result<(), Denial> {
        if self.may_do_everything() {
            return Ok(());
        }
        let mut closest = Denial { reason: Reason::Database, index: 0 };
        for selector in self.all_selectors() {
            match selector.check(asked) {
                Ok(()) => return Ok(()),
                Err(denial) => closest = closest.max(denial),
            }
        }
        Err(closest)
    }

    /// Whether it may run a command by a selector that allows to read every key.
    pub fn may_run_and_read_all(&self, asked: &Asked<'_>) -> bool {
        self.may_do_everything()
            || self
                .all_selectors()
                .any(|selector| selector.keys.allow_reading_all() && selector.check(asked).is_ok())
    }

    /// Whether it may do something to a key, by whatever command.
    pub fn may_access(&self, key: &[u8], access: Access) -> bool {
        let needed = KeyAccess::needed_for(access);
        self.all_selectors().any(|selector| selector.keys.allow(key, needed))
    }

    /// Every channel it may use, by whichever selector.
    pub fn channels(&self) -> Channels {
        let mut all = Channels::default();
        self.all_selectors().for_each(|selector| all.include_all(&selector.channels));
        all
    }

    /// Its flags, as `ACL GETUSER` lists them.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let state = if self.enabled { "on" } else { "off" };
        std::iter::once(state).chain(self.needs_no_password.then_some("nopass"))
    }

    /// Its passwords.
    pub const fn passwords(&self) -> &Listed<PasswordHash, ()> {
        &self.passwords
    }

    /// The rules outside of parentheses.
    pub const fn root(&self) -> &Selector {
        &self.root
    }

    /// The selectors within parentheses.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// `user`, its name, and rules that make the same one.
    pub fn line(&self) -> Vec<u8> {
        let mut line = [b"user ", &*self.name, b" "].concat();
        for flag in self.flags() {
            line.extend_from_slice(flag.as_bytes());
            line.push(b' ');
        }
        for (password, ()) in self.passwords.iter() {
            line.push(b'#');
            line.extend_from_slice(&password.digits());
            line.push(b' ');
        }
        line.extend(self.root.describe());
        for selector in &self.selectors {
            line.extend_from_slice(b" (");
            line.extend(selector.describe());
            line.push(b')');
        }
        line
    }
}
