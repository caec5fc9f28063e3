//! All users.

use crate::error::{ChangeError, RuleError};
use crate::patterns::has_spaces;
use crate::user::{DEFAULT_USER, User};
use darter_command_table::Table;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Which channels a user may use that no rule says anything about (`acl-pubsub-default`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelDefault {
    /// None.
    #[default]
    None,
    /// All.
    All,
}

/// What rules are read with.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The commands that they may name.
    pub table: &'a Table,
    /// What a new user may use.
    pub channels: ChannelDefault,
}

/// Every user, by name. Always has the default user. Cloned to be changed: what is in it is shared.
#[derive(Clone, Debug)]
pub struct Users {
    by_name: BTreeMap<Box<[u8]>, Arc<User>>,
    /// What the next new user's id is.
    next_id: u64,
}

impl Users {
    /// The default user, who may do everything without a password.
    pub fn new(table: &Table) -> Self {
        let mut this = Self { by_name: BTreeMap::new(), next_id: 0 };
        let user = this.open_default(table);
        this.insert(user);
        this
    }

    fn open_default(&mut self, table: &Table) -> User {
        let rules = Rules { table, channels: ChannelDefault::None };
        let mut user = self.create(DEFAULT_USER, rules);
        for rule in ["+@all", "~*", "&*", "on", "nopass"] {
            user.apply(rule.as_bytes(), rules).expect("these are rules");
        }
        user
    }

    fn create(&mut self, name: &[u8], rules: Rules<'_>) -> User {
        let id = self.next_id;
        self.next_id += 1;
        User::new(name, id, rules.channels)
    }

    fn insert(&mut self, user: User) {
        self.by_name.insert(user.name().into(), Arc::new(user));
    }

    /// The user of this name.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    /// A user as it is now; `None` if it is gone, though there may be another one of its name.
    pub fn now(&self, user: &User) -> Option<&Arc<User>> {
        self.get(user.name()).filter(|known| known.id() == user.id())
    }

    /// Who clients are that have not said who they are.
    pub fn default_user(&self) -> &Arc<User> {
        self.get(DEFAULT_USER).expect("there always is one")
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Never.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Each of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<User>> {
        self.by_name.values()
    }

    /// Makes a user, or changes the one there is, as `given` say, each an argument of its own; selectors may be
    /// in several. On an error nothing has changed. `name` must be one that [can be](Self::is_name).
    pub fn set(
        &mut self,
        name: &[u8],
        given: &[&[u8]],
        rules: Rules<'_>,
    ) -> Result<(), ChangeError> {
        let given =
            join_selectors(given).map_err(|begin| ChangeError::Unmatched(given[begin].to_vec()))?;
        let known = self.get(name).map(|user| User::clone(user));
        let mut user = known.unwrap_or_else(|| self.create(name, rules));
        for rule in &given {
            user.apply(rule, rules)
                .map_err(|error| ChangeError::Rule { rule: rule.clone(), error })?;
        }
        self.insert(user);
        Ok(())
    }

    /// Makes the default user's password this one and no other; an empty one: none is needed.
    pub fn set_default_password(&mut self, password: &[u8], rules: Rules<'_>) {
        let mut user = User::clone(self.default_user());
        let rule = if password.is_empty() { b"nopass".to_vec() } else { [b">", password].concat() };
        for rule in [b"resetpass", rule.as_slice()] {
            user.apply(rule, rules).expect("these are rules");
        }
        self.insert(user);
    }

    /// Removes a user, and returns it. Not the default one.
    pub fn remove(&mut self, name: &[u8]) -> Option<Arc<User>> {
        if name == DEFAULT_USER { None } else { self.by_name.remove(name) }
    }

    /// Whether a user can have this name.
    pub fn is_name(name: &[u8]) -> bool {
        !has_spaces(name)
    }

    /// Makes the user of a line `user name rule …` of a configuration: the default one anew, another one for the
    /// first time.
    pub fn configure(
        &mut self,
        name: &[u8],
        given: &[&[u8]],
        rules: Rules<'_>,
    ) -> Result<(), ConfigureError> {
        if !Self::is_name(name) {
            return Err(ConfigureError::Name);
        }
        if name != DEFAULT_USER && self.get(name).is_some() {
            return Err(ConfigureError::Duplicate);
        }
        let given = [&[b"reset".as_slice()], given].concat();
        self.set(name, &given, rules).map_err(ConfigureError::Rules)
    }

    /// The users of a file in place of these, and nobody else but the default one. An error says what is wrong
    /// in each line of it, by the name it is given.
    pub fn replaced_by_file(
        &self,
        text: &[u8],
        file: &str,
        rules: Rules<'_>,
    ) -> Result<Self, Vec<u8>> {
        let mut new = Self { by_name: BTreeMap::new(), next_id: self.next_id };
        let mut errors = Vec::new();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if !line.is_empty() {
                new.add_line(line, &format!("{file}:{}", index + 1), rules, &mut errors);
            }
        }
        if !errors.is_empty() {
            errors.extend_from_slice(
                b"WARNING: ACL errors detected, no change to the previously active ACL rules was \
                  performed",
            );
            return Err(errors);
        }
        if new.get(DEFAULT_USER).is_none() {
            let user = new.open_default(rules.table);
            new.insert(user);
        }
        // Who is a user stays it as long as there is one of that name.
        for (name, user) in &mut new.by_name {
            if let Some(known) = self.get(name) {
                *user = Arc::new(User::clone(user).renumbered(known.id()));
            }
        }
        Ok(new)
    }

    fn add_line(&mut self, line: &[u8], place: &str, rules: Rules<'_>, errors: &mut Vec<u8>) {
        let mut fail = |parts: &[&[u8]]| errors.extend(parts.concat());
        let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let [b"user", name, given @ ..] = words.as_slice() else {
            let text = " should start with user keyword followed by the username. ";
            return fail(&[place.as_bytes(), text.as_bytes()]);
        };
        if !Self::is_name(name) {
            let text: [&[u8]; 5] =
                [b"'", place.as_bytes(), b": username '", name, b"' contains invalid characters. "];
            return fail(&text);
        }
        if self.get(name).is_some() {
            let line = place.rsplit(':').next().unwrap_or_default();
            let end = format!("' found on line {line}. ");
            return fail(&[b"WARNING: Duplicate user '", name, end.as_bytes()]);
        }
        let mut user = self.create(name, rules);
        let Ok(given) = join_selectors(given) else {
            let text = ": Unmatched parenthesis in selector definition.";
            return fail(&[place.as_bytes(), text.as_bytes()]);
        };
        let mut is_first = true;
        for rule in &given {
            let rule = rule.trim_ascii();
            match user.apply(rule, rules) {
                // It tells nothing secret.
                Err(error @ RuleError::Unknown) => {
                    let end = format!("': {error}. ");
                    let begin = format!("{place}: Error in applying operation '");
                    fail(&[begin.as_bytes(), rule, end.as_bytes()]);
                }
                // What comes behind may follow from it.
                Err(error) if std::mem::take(&mut is_first) => {
                    fail(&[format!("{place}: {error}. ").as_bytes()]);
                }
                Ok(()) | Err(_) => {}
            }
        }
        self.insert(user);
    }

    /// A line for each of them, as files have them.
    pub fn lines(&self) -> Vec<u8> {
        self.iter().flat_map(|user| [user.line(), b"\n".to_vec()].concat()).collect()
    }
}

/// Why a line of the configuration makes no user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigureError {
    /// Its name cannot be one.
    Name,
    /// There is such a user.
    Duplicate,
    /// Its rules are none.
    Rules(ChangeError),
}

impl std::fmt::Display for ConfigureError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name => formatter.write_str("Spaces not allowed in ACL usernames"),
            Self::Duplicate => formatter
                .write_str("Duplicate user found. A user can only be defined once in config files"),
            Self::Rules(error) => formatter.write_str(&String::from_utf8_lossy(&error.text())),
        }
    }
}

impl std::error::Error for ConfigureError {}

/// The rules with each selector in one piece. An error is the index at which one begins that does not end.
fn join_selectors(given: &[&[u8]]) -> Result<Vec<Vec<u8>>, usize> {
    let mut joined = Vec::new();
    let mut open: Option<(usize, Vec<u8>)> = None;
    for (index, rule) in given.iter().enumerate() {
        let ends = rule.last() == Some(&b')');
        match &mut open {
            None if rule.first() == Some(&b'(') && !ends => open = Some((index, rule.to_vec())),
            None => joined.push(rule.to_vec()),
            Some((_, selector)) => {
                selector.push(b' ');
                selector.extend_from_slice(rule);
                if ends {
                    joined.extend(open.take().map(|(_, selector)| selector));
                }
            }
        }
    }
    match open {
        Some((begin, _)) => Err(begin),
        None => Ok(joined),
    }
}
