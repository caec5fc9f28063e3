//! SORT, over whatever the other rules leave behind.

use super::{Grammar, Rule};
use crate::request::{Command, words};

impl Grammar {
    fn sort(&mut self) -> Command {
        let mut command = words(self.pick(&["SORT", "SORT", "SORT_RO"]));
        let prefix = self.pick(&["l", "set", "z", "k"]);
        command.push(format!("{prefix}{}", self.rng.u8(0..5)).into_bytes());
        if self.one_in(2) {
            command.push(b"ALPHA".to_vec());
        }
        if self.one_in(5) {
            command.extend(words("BY nosort"));
        }
        if self.one_in(3) {
            command.push(self.pick(&[&b"DESC"[..], b"ASC"]).to_vec());
        }
        // Which elements of a set come first is each server's own.
        if self.one_in(3) && !command.contains(&b"nosort".to_vec()) {
            command.extend([b"LIMIT".to_vec(), self.number(-1, 5), self.number(-1, 5)]);
        }
        while self.one_in(3) && !command.contains(&b"nosort".to_vec()) {
            let pattern = self.pick(&[&b"#"[..], b"k*", b"h*->f1", b"none"]);
            command.extend([b"GET".to_vec(), pattern.to_vec()]);
        }
        if self.one_in(4) {
            command.extend([b"STORE".to_vec(), self.key()]);
        }
        command
    }
}

pub(super) const RULES: &[Rule] = &[Rule { weight: 40, make: Grammar::sort }];
