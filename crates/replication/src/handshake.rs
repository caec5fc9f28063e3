//! What a replica and its primary say to each other before data flow.
//!
//! ```text
//!   replica                                     primary
//!   PING                                        +PONG, or an error if it wants a password
//!   AUTH [user] password                        +OK             only with a password
//!   REPLCONF listening-port 6380                +OK             an error is no harm
//!   REPLCONF ip-address 10.0.0.7                +OK             only if one is to be announced
//!   REPLCONF capa eof capa psync2               +OK             an error is no harm
//!   PSYNC id first-byte  |  PSYNC ? -1          +FULLRESYNC id offset, then data
//!                                               +CONTINUE [id], then the stream
//!                                               an error
//! ```
//!
//! What stands between PING and PSYNC is sent at once, as Redis does: the sooner a replica goes on, the less has happened that
//! it has to have been told by a former primary. What the primary says is trusted in nothing.

use crate::{Offset, ReplicationId};
use darter_base::number::parse_u64;
use darter_resp::request::encode;

/// What a replica says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Introduction {
    /// Whom it authenticates as; empty: the default user.
    pub user: Vec<u8>,
    /// With which password; empty: it does not.
    pub password: Vec<u8>,
    /// The port it is to be reached at.
    pub port: u16,
    /// The address it is to be reached at; empty: that of the connection.
    pub address: Vec<u8>,
    /// What it has: up to where of which history. `None`: nothing.
    pub has: Option<(ReplicationId, Offset)>,
    /// Whether the primary steps down for it (`FAILOVER`).
    pub takes_over: bool,
}

/// A handshake under way.
#[derive(Debug)]
pub struct Handshake {
    introduction: Introduction,
    step: Step,
}

/// What was said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Ping,
    Authenticate,
    Port,
    Address,
    Capabilities,
    Synchronize,
}

/// What an answer of the primary comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An empty line: it is alive.
    Alive,
    /// It goes on with the next request.
    Next,
    /// The same; it did not understand something that is not needed. Its words.
    NextWithout {
        /// What it did not understand.
        what: &'static str,
        /// Its answer.
        reply: String,
    },
    /// All data follow, which are those of this place in this history.
    Full {
        /// Which history.
        id: ReplicationId,
        /// How far it had come.
        at: Offset,
    },
    /// The stream follows, behind what the replica has. The history is called so from now on, if it has another
    /// name than it had.
    Continue(Option<ReplicationId>),
    /// It cannot serve replicas now. Its words.
    NotNow(String),
    /// It does not work like this. What is to be said of it in the log.
    Failed(String),
}

impl Handshake {
    /// At its beginning.
    pub const fn new(introduction: Introduction) -> Self {
        Self { introduction, step: Step::Ping }
    }

    /// The request to be sent now, with those that are sent together with it.
    pub fn request(&self) -> Vec<u8> {
        let mut requests = self.request_of(self.step);
        let mut step = self.step;
        while let Some(next) = self.step_behind(step).filter(|_| step != Step::Ping) {
            if next == Step::Synchronize {
                break;
            }
            requests.extend(self.request_of(next));
            step = next;
        }
        requests
    }

    /// Whether what is to be answered now was sent together with what was answered before.
    pub fn is_asked(&self) -> bool {
        match self.step {
            Step::Ping | Step::Authenticate | Step::Synchronize => false,
            Step::Port => self.authenticates(),
            Step::Address | Step::Capabilities => true,
        }
    }

    /// What is said behind it.
    fn step_behind(&self, step: Step) -> Option<Step> {
        match step {
            Step::Ping if self.authenticates() => Some(Step::Authenticate),
            Step::Ping | Step::Authenticate => Some(Step::Port),
            Step::Port if !self.introduction.address.is_empty() => Some(Step::Address),
            Step::Port | Step::Address => Some(Step::Capabilities),
            Step::Capabilities => Some(Step::Synchronize),
            Step::Synchronize => None,
        }
    }

    fn authenticates(&self) -> bool {
        !self.introduction.password.is_empty()
    }

    fn request_of(&self, step: Step) -> Vec<u8> {
        let Introduction { user, password, port, address, has, takes_over } = &self.introduction;
        match step {
            Step::Ping => encode(&["PING"]),
            Step::Authenticate if user.is_empty() => encode(&[b"AUTH", password.as_slice()]),
            Step::Authenticate => encode(&[b"AUTH", user.as_slice(), password]),
            Step::Port => encode(&["REPLCONF", "listening-port", &port.to_string()]),
            Step::Address => encode(&[b"REPLCONF".as_slice(), b"ip-address", address]),
            Step::Capabilities => encode(&["REPLCONF", "capa", "eof", "capa", "psync2"]),
            Step::Synchronize => {
                // Bytes are counted from 1 there.
                let (id, first) = match has {
                    Some((id, offset)) => (id.to_string(), (offset.bytes() + 1).to_string()),
                    None => ("?".to_owned(), "-1".to_owned()),
                };
                if *takes_over {
                    encode(&["PSYNC", &id, &first, "FAILOVER"])
                } else {
                    encode(&["PSYNC", &id, &first])
                }
            }
        }
    }

    /// Whether the request to be sent asks for data.
    pub fn asks_for_data(&self) -> bool {
        self.step == Step::Synchronize
    }

    /// What the primary's answer, a line without its end, comes to.
    pub fn answered(&mut self, line: &[u8]) -> Answer {
        if line.is_empty() {
            return Answer::Alive;
        }
        match self.step {
            Step::Ping => self.answered_ping(line),
            Step::Authenticate if is_error(line) => {
                Answer::Failed(format!("Unable to AUTH to PRIMARY: {}", text_of(line)))
            }
            Step::Authenticate => self.go_on(),
            Step::Port => self.go_on_without("REPLCONF listening-port", line),
            Step::Address => self.go_on_without("REPLCONF ip-address", line),
            Step::Capabilities => self.go_on_without("REPLCONF capa", line),
            Step::Synchronize => self.answered_sync(line),
        }
    }

    /// A primary that wants a password answers PING so, too.
    fn answered_ping(&mut self, line: &[u8]) -> Answer {
        const ALIVE: [&[u8]; 4] = [b"+", b"-NOAUTH", b"-NOPERM", b"-ERR operation not permitted"];
        if !ALIVE.iter().any(|start| line.starts_with(start)) {
            return Answer::Failed(format!(
                "Error reply to PING from primary: '{}'",
                text_of(line)
            ));
        }
        self.go_on()
    }

    fn answered_sync(&self, line: &[u8]) -> Answer {
        let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        let (first, second, third) = (words.next(), words.next(), words.next());
        match first {
            Some(b"+FULLRESYNC") => {
                let id = second.and_then(ReplicationId::parse);
                let at = third.and_then(parse_u64).and_then(Offset::new);
                match (id, at) {
                    (Some(id), Some(at)) => Answer::Full { id, at },
                    _ => Answer::Failed(format!(
                        "Primary replied with wrong +FULLRESYNC syntax: {}",
                        text_of(line)
                    )),
                }
            }
            Some(b"+CONTINUE") => match (self.introduction.has, second.map(ReplicationId::parse)) {
                (None, _) | (_, Some(None)) => {
                    Answer::Failed(format!("Unexpected reply to PSYNC: {}", text_of(line)))
                }
                (Some((known, _)), Some(Some(id))) => {
                    Answer::Continue(Some(id).filter(|id| *id != known))
                }
                (Some(_), None) => Answer::Continue(None),
            },
            Some(b"-NOMASTERLINK" | b"-LOADING") => Answer::NotNow(text_of(line)),
            _ if is_error(line) => Answer::Failed(format!(
                "Primary does not support PSYNC or is in error state (reply: {})",
                text_of(line)
            )),
            _ => {
                Answer::Failed(format!("Unexpected reply to PSYNC from primary: {}", text_of(line)))
            }
        }
    }

    fn go_on(&mut self) -> Answer {
        self.step = self.step_behind(self.step).unwrap_or(Step::Synchronize);
        Answer::Next
    }

    fn go_on_without(&mut self, what: &'static str, line: &[u8]) -> Answer {
        let next = self.go_on();
        if is_error(line) { Answer::NextWithout { what, reply: text_of(line) } } else { next }
    }
}

fn is_error(line: &[u8]) -> bool {
    line.first() == Some(&b'-')
}

/// For the log.
fn text_of(line: &[u8]) -> String {
    let shown = |letter: char| if letter.is_control() { '?' } else { letter };
    String::from_utf8_lossy(line).chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn id() -> ReplicationId {
        ReplicationId::parse(ID.as_bytes()).unwrap()
    }

    /// The words of the request to be sent.
    fn words(handshake: &Handshake) -> String {
        let text = String::from_utf8(handshake.request()).unwrap();
        let lines = text.split("\r\n").filter(|line| !line.starts_with(['*', '$']));
        lines.collect::<Vec<_>>().join(" ").trim_end().to_owned()
    }

    #[test]
    fn everything_is_said_in_turn() {
        let introduction = Introduction {
            user: b"copy".to_vec(),
            password: b"secret".to_vec(),
            port: 6380,
            address: b"10.0.0.7".to_vec(),
            has: Some((id(), Offset::new(99).unwrap())),
            takes_over: false,
        };
        let mut handshake = Handshake::new(introduction);
        let together = "AUTH copy secret REPLCONF listening-port 6380 REPLCONF ip-address 10.0.0.7 REPLCONF capa eof \
                        capa psync2";
        for (request, answer) in [
            (Some("PING"), "-NOAUTH Authentication required."),
            (Some(together), "+OK"),
            (None, "+OK"),
            (None, "+OK"),
            (None, "+OK"),
        ] {
            assert_eq!(request.is_none(), handshake.is_asked());
            if let Some(request) = request {
                assert_eq!(words(&handshake), request);
            }
            assert_eq!(handshake.answered(b""), Answer::Alive);
            assert_eq!(handshake.answered(answer.as_bytes()), Answer::Next, "{request:?}");
        }
        assert!(!handshake.is_asked());
        assert!(handshake.asks_for_data());
        assert_eq!(words(&handshake), format!("PSYNC {ID} 100"));
        assert_eq!(handshake.answered(b"+CONTINUE"), Answer::Continue(None));
        assert_eq!(
            handshake.answered(format!("+CONTINUE {ID}").as_bytes()),
            Answer::Continue(None)
        );
        let other = "f".repeat(40);
        let parsed = ReplicationId::parse(other.as_bytes());
        assert_eq!(
            handshake.answered(format!("+CONTINUE {other}").as_bytes()),
            Answer::Continue(parsed)
        );
    }

    /// A handshake that asks for data.
    fn asking(has: Option<(ReplicationId, Offset)>) -> Handshake {
        let mut handshake = Handshake::new(Introduction { has, ..Introduction::default() });
        for answer in ["+PONG", "-ERR what", "+OK"] {
            handshake.answered(answer.as_bytes());
        }
        assert!(handshake.asks_for_data());
        handshake
    }

    #[test]
    fn a_replica_without_data_asks_for_all_of_them() {
        let mut handshake = asking(None);
        assert_eq!(words(&handshake), "PSYNC ? -1");
        let full = format!("+FULLRESYNC {ID} 12");
        let answer = Answer::Full { id: id(), at: Offset::new(12).unwrap() };
        assert_eq!(handshake.answered(full.as_bytes()), answer);
        // There is nothing to go on with.
        assert!(matches!(handshake.answered(b"+CONTINUE"), Answer::Failed(_)));
    }

    #[test]
    fn what_is_not_needed_may_fail() {
        let mut handshake = Handshake::new(Introduction::default());
        handshake.answered(b"+PONG");
        let answer = handshake.answered(b"-ERR unknown command");
        let reply = "-ERR unknown command".to_owned();
        assert_eq!(answer, Answer::NextWithout { what: "REPLCONF listening-port", reply });
    }

    #[test]
    fn what_makes_no_sense_fails() {
        let mut handshake = Handshake::new(Introduction::default());
        assert!(matches!(handshake.answered(b"-ERR no"), Answer::Failed(_)));
        let password = b"secret".to_vec();
        let mut handshake = Handshake::new(Introduction { password, ..Introduction::default() });
        handshake.answered(b"+PONG");
        assert!(matches!(handshake.answered(b"-WRONGPASS no"), Answer::Failed(_)));
        for answer in [
            "+FULLRESYNC",
            "+FULLRESYNC x 1",
            &format!("+FULLRESYNC {ID}"),
            &format!("+FULLRESYNC {ID} -1"),
            &format!("+FULLRESYNC {ID} 9223372036854775808"),
            "+CONTINUE x",
            "+PONG",
            "-ERR unknown command",
            "$5",
        ] {
            let mut handshake = asking(Some((id(), Offset::ZERO)));
            let found = handshake.answered(answer.as_bytes());
            assert!(matches!(found, Answer::Failed(_)), "{answer}: {found:?}");
        }
        let mut handshake = asking(None);
        for answer in ["-NOMASTERLINK Can't SYNC", "-LOADING Redis is loading"] {
            assert_eq!(handshake.answered(answer.as_bytes()), Answer::NotNow(answer.to_owned()));
        }
    }
}
