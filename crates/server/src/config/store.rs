//! The configuration in force: every parameter's value, and the settings made from them.

use crate::config::parameter::{Change, Support};
use crate::config::search::find;
use crate::config::settings::Settings;
use crate::config::table::{Row, row_named, rows};
use crate::config::value::Value;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Why parameters were not set. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// No parameter has this name.
    Unknown(String),
    /// The parameter, by this name, cannot be set now or to this value.
    Refused {
        /// As it was given, or as the row has it.
        name: String,
        /// Why, in the words of Redis.
        reason: String,
    },
}

impl SetError {
    fn refused(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Refused { name: name.into(), reason: reason.into() }
    }
}

impl fmt::Display for SetError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(formatter, "there is no parameter '{name}'"),
            Self::Refused { name, reason } => write!(formatter, "'{name}': {reason}"),
        }
    }
}

impl std::error::Error for SetError {}

/// Every parameter's value, by the number of its row, and the settings made from them.
#[derive(Clone, Debug)]
struct State {
    values: Vec<Value>,
    settings: Settings,
}

impl State {
    fn put(&mut self, row: Row, value: Value) {
        if let Some(set) = row.parameter.sets {
            set(&mut self.settings, &value);
        }
        self.values[row.index] = value;
    }

    fn text(&self, row: Row) -> Vec<u8> {
        row.parameter.kind.format(&self.values[row.index])
    }

    /// What a parameter set in parts has now.
    fn present(&self, row: Row) -> Option<&[u8]> {
        match &self.values[row.index] {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// The configuration in force, shared by all workers.
#[derive(Debug)]
pub struct ConfigStore {
    state: Mutex<(State, Arc<Settings>)>,
    version: AtomicU64,
}

impl Default for ConfigStore {
    fn default() -> Self {
        Self::new()
    }
}

impl ConfigStore {
    /// Every parameter at its default.
    pub fn new() -> Self {
        let values: Vec<Value> = rows().map(|row| row.parameter.default_value()).collect();
        let mut state = State { values: values.clone(), settings: Settings::default() };
        for (row, value) in rows().zip(values) {
            state.put(row, value);
        }
        let settings = Arc::new(state.settings.clone());
        Self { state: Mutex::new((state, settings)), version: AtomicU64::new(0) }
    }

    /// The settings as of now.
    pub fn current(&self) -> Arc<Settings> {
        Arc::clone(&self.lock().1)
    }

    /// Grows with every change: what a worker derived from the settings is stale once it differs.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Has workers derive anew what depends on more than the settings.
    pub fn renew(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Every parameter's value, by the number of its row.
    pub fn values(&self) -> Vec<Value> {
        self.lock().0.values.clone()
    }

    /// The same, and the version that they are.
    pub fn values_and_version(&self) -> (Vec<Value>, u64) {
        let state = self.lock();
        (state.0.values.clone(), self.version())
    }

    /// The value of the parameter named `name`, as text; empty when there is none.
    pub fn text(&self, name: &str) -> String {
        let text = row_named(name.as_bytes()).map(|row| self.lock().0.text(row));
        String::from_utf8_lossy(&text.unwrap_or_default()).into_owned()
    }

    /// `CONFIG GET`: name and value of each parameter that one of `patterns` matches, each once, in
    /// the order of the names, as Valkey sorts them. A literal name comes back as it was written.
    pub fn matching(&self, patterns: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let found = find(patterns);
        let state = self.lock();
        found.into_values().map(|(name, row)| (name, state.0.text(row))).collect()
    }

    /// `CONFIG SET`: sets all of `pairs` or none. `protected` says whether protected parameters may
    /// be set; `apply` puts the new settings into force outside and may refuse them, naming the
    /// parameter it refuses.
    pub fn set(
        &self,
        pairs: &[(&[u8], &[u8])],
        protected: bool,
        apply: impl FnOnce(&Settings) -> Result<(), (&'static str, String)>,
    ) -> Result<(), SetError> {
        let mut found: Vec<(Row, &[u8])> = Vec::new();
        for (name, value) in pairs {
            let given = || String::from_utf8_lossy(name).into_owned();
            let row = row_named(name).ok_or_else(|| SetError::Unknown(given()))?;
            match row.parameter.change {
                Change::AtStart => {
                    return Err(SetError::refused(given(), "can't set immutable config"));
                }
                Change::Protected if !protected => {
                    return Err(SetError::refused(given(), "can't set protected config"));
                }
                Change::Protected | Change::AtRunTime | Change::Fixed => {}
            }
            if found.iter().any(|(other, _)| other.index == row.index) {
                return Err(SetError::refused(given(), "duplicate parameter"));
            }
            found.push((row, value));
        }
        self.change(|state| {
            for (row, text) in found {
                let value = row.parameter.kind.parse(text, state.present(row));
                let value =
                    value.map_err(|reason| SetError::refused(row.parameter.name, reason))?;
                check_support(row, &value)?;
                if row.parameter.change == Change::Fixed && value != state.values[row.index] {
                    let name = row.parameter.name;
                    return Err(SetError::refused(name, "can't set immutable config"));
                }
                state.put(row, value);
            }
            apply(&state.settings).map_err(|(name, reason)| SetError::refused(name, reason))
        })
    }

    /// Sets one parameter before the server runs, from words.
    pub fn set_at_start(&self, name: &str, words: &[&[u8]]) -> Result<(), SetError> {
        let unknown = || SetError::Unknown(name.to_owned());
        let row = row_named(name.as_bytes()).ok_or_else(unknown)?;
        self.change(|state| {
            let value = row.parameter.kind.parse_words(words, state.present(row));
            let value = value.map_err(|reason| SetError::refused(name, reason))?;
            check_support(row, &value)?;
            state.put(row, value);
            Ok(())
        })
    }

    /// Changes the values, all of them or, on an error, none.
    fn change<E>(&self, change: impl FnOnce(&mut State) -> Result<(), E>) -> Result<(), E> {
        let mut guard = self.lock();
        let mut next = guard.0.clone();
        change(&mut next)?;
        let settings = Arc::new(next.settings.clone());
        *guard = (next, settings);
        self.version.fetch_add(1, Ordering::Release);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, (State, Arc<Settings>)> {
        self.state.lock().expect("the configuration is replaced, never half changed")
    }
}

/// Refuses a value that would promise what is not there.
fn check_support(row: Row, value: &Value) -> Result<(), SetError> {
    match row.parameter.support() {
        Support::Refused(reason) if *value != row.parameter.default_value() => {
            Err(SetError::refused(row.parameter.name, reason))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::Kind;

    fn set(store: &ConfigStore, pairs: &[(&str, &str)]) -> Result<(), SetError> {
        let pairs: Vec<(&[u8], &[u8])> =
            pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
        store.set(&pairs, false, |_| Ok(()))
    }

    #[test]
    fn every_default_is_shown_and_can_be_set() {
        let store = ConfigStore::new();
        for row in rows() {
            let parameter = row.parameter;
            let shown = store.text(parameter.name);
            for name in parameter.names() {
                assert_eq!(store.matching(&[name.as_bytes()]).len(), 1, "{name}");
            }
            let again = parameter.kind.parse(shown.as_bytes(), None);
            assert_eq!(again, Ok(parameter.default_value()), "{}", parameter.name);
            let result =
                store.set(&[(parameter.name.as_bytes(), shown.as_bytes())], true, |_| Ok(()));
            match parameter.change {
                Change::AtStart => assert!(result.is_err(), "{}", parameter.name),
                _ => assert_eq!(result, Ok(()), "{}", parameter.name),
            }
            // Words come apart, as those of a file do.
            let words: Vec<&[u8]> = match parameter.kind {
                Kind::Words(_) => shown.split(' ').map(str::as_bytes).collect(),
                _ => vec![shown.as_bytes()],
            };
            store.set_at_start(parameter.name, &words).unwrap();
        }
    }

    /// Values just outside of a kind's bounds, with the refusal of each.
    fn beyond(kind: Kind) -> Vec<(String, String)> {
        let between =
            |min: i128, max: i128| format!("argument must be between {min} and {max} inclusive");
        match kind {
            Kind::Number { min, max } | Kind::Memory { min, max } => {
                // What no number of 64 bits reaches cannot be given.
                let candidates = [min - 1, max + 1].into_iter();
                candidates
                    .filter(|number| (i128::from(i64::MIN)..=u64::MAX.into()).contains(number))
                    .filter(|number| matches!(kind, Kind::Number { .. }) || *number >= 0)
                    .map(|number| (number.to_string(), between(min, max)))
                    .collect()
            }
            Kind::Clamped { max, .. } => vec![((max + 1).to_string(), between(0, max))],
            Kind::Octal { max } => {
                let refusal = format!("argument must be between 0 and {max:o} inclusive");
                vec![(format!("{:o}", max + 1), refusal)]
            }
            Kind::Flag => vec![("maybe".into(), "argument must be 'yes' or 'no'".into())],
            Kind::Choice(choices) => {
                let refusal =
                    format!("argument(s) must be one of the following: {}", choices.join(", "));
                vec![("none of them".into(), refusal)]
            }
            Kind::MemoryOrPercent { .. } | Kind::MachineMemory => {
                let refusal = "percentage argument must be less or equal to 100";
                vec![("101%".into(), refusal.into())]
            }
            Kind::Text(_) | Kind::Formed(_) | Kind::Words(_) => Vec::new(),
        }
    }

    #[test]
    fn every_parameter_keeps_to_its_bounds() {
        let store = ConfigStore::new();
        for row in rows() {
            let parameter = row.parameter;
            for (value, refusal) in beyond(parameter.kind) {
                let refused = SetError::refused(parameter.name, refusal);
                let at_start = store.set_at_start(parameter.name, &[value.as_bytes()]);
                assert_eq!(at_start, Err(refused.clone()), "{value}");
                let pair = (parameter.name.as_bytes(), value.as_bytes());
                let at_run_time = store.set(&[pair], true, |_| Ok(()));
                if parameter.change == Change::AtStart {
                    let immutable = "can't set immutable config";
                    assert_eq!(at_run_time, Err(SetError::refused(parameter.name, immutable)));
                } else {
                    assert_eq!(at_run_time, Err(refused), "{value}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_supported_is_refused_with_a_reason() {
        let store = ConfigStore::new();
        assert_eq!(
            store.set(&[(b"tls-port", b"1")], false, |_| Ok(())),
            Err(SetError::refused("tls-port", "TLS is not supported by this version"))
        );
        assert_eq!(store.set(&[(b"tls-port", b"0")], false, |_| Ok(())), Ok(()));
        assert!(store.set_at_start("cluster-enabled", &[b"yes"]).is_err());
    }

    #[test]
    fn several_parameters_change_together_or_not_at_all() {
        let store = ConfigStore::new();
        let before = store.version();
        assert_eq!(
            set(&store, &[("maxclients", "77"), ("timeout", "x")]),
            Err(SetError::refused("timeout", "argument couldn't be parsed into an integer"))
        );
        assert_eq!((store.text("maxclients"), store.version()), ("10000".into(), before));
        set(&store, &[("maxclients", "77"), ("timeout", "5")]).unwrap();
        assert_eq!((store.current().maxclients, store.current().idle_timeout_seconds), (77, 5));
        assert!(store.version() > before);
    }

    #[test]
    fn a_refused_application_changes_nothing() {
        let store = ConfigStore::new();
        let refused = store.set(&[(b"maxclients", b"77")], false, |settings| {
            assert_eq!(settings.maxclients, 77);
            Err(("maxclients", "no".to_owned()))
        });
        assert_eq!(refused, Err(SetError::refused("maxclients", "no")));
        assert_eq!(store.current().maxclients, 10_000);
    }

    #[test]
    fn refusals_name_the_parameter_as_it_was_given() {
        let store = ConfigStore::new();
        assert_eq!(set(&store, &[("Foo", "1")]), Err(SetError::Unknown("Foo".into())));
        assert_eq!(
            set(&store, &[("DATABASES", "1")]),
            Err(SetError::refused("DATABASES", "can't set immutable config"))
        );
        assert_eq!(set(&store, &[("workers", "0")]), Ok(()));
        assert_eq!(
            set(&store, &[("workers", "2")]),
            Err(SetError::refused("workers", "can't set immutable config"))
        );
        assert_eq!(
            set(&store, &[("dbfilename", "a")]),
            Err(SetError::refused("dbfilename", "can't set protected config"))
        );
        assert_eq!(
            set(&store, &[("hash-max-listpack-value", "1"), ("hash-max-ziplist-value", "2")]),
            Err(SetError::refused("hash-max-ziplist-value", "duplicate parameter"))
        );
    }
}
