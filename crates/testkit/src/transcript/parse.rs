//! Reads the text of a transcript. The notation is described in [`super`].

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::model::{
    Action, Case, Expectation, Expected, Oracles, Repetition, ServerKind, ServerTerm, Step,
    Transcript, Version, Word,
};
use super::notation::{Cursor, Mistake, expand_repeats, parse_range};
use super::pattern::{self, PatternError};
use crate::Protocol;

/// A mistake in a transcript, and where.
#[derive(Debug)]
pub struct ParseError {
    pub path: PathBuf,
    pub line: usize,
    pub mistake: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.mistake)
    }
}

impl std::error::Error for ParseError {}

/// Parses a whole file.
pub fn parse(path: &Path, text: &str) -> Result<Transcript, ParseError> {
    let error = |line, mistake| ParseError { path: path.to_path_buf(), line, mistake };
    let mut parser = Parser::new(path);
    for line in lines(text).map_err(|(line, mistake)| error(line, mistake))? {
        parser.line(&line).map_err(|mistake| error(line.number, mistake))?;
    }
    parser.finish().map_err(|(line, mistake)| error(line, mistake))
}

/// A line that means something, `@repeat` blocks and `repeat(..)` expanded.
struct Line {
    number: usize,
    text: String,
}

fn lines(text: &str) -> Result<Vec<Line>, (usize, Mistake)> {
    let mut lines = Vec::new();
    let mut block: Option<(i64, i64, Vec<Line>)> = None;
    for (index, text) in text.lines().enumerate() {
        let number = index + 1;
        let text = text.trim();
        // Within a block a lone # is the number.
        let is_comment = text.starts_with("# ") || text == "#" && block.is_none();
        if text.is_empty() || is_comment {
            continue;
        }
        if let Some(range) = text.strip_prefix("@repeat ") {
            let (first, last) = parse_range(range)
                .ok_or((number, "@repeat needs a range such as 1..3".to_owned()))?;
            block = Some((first, last, Vec::new()));
        } else if text == "@end" {
            let (first, last, inner) =
                block.take().ok_or((number, "@end without @repeat".to_owned()))?;
            for n in first..=last {
                let n = n.to_string();
                lines.extend(
                    inner
                        .iter()
                        .map(|line| Line { number: line.number, text: line.text.replace('#', &n) }),
                );
            }
        } else {
            let text = expand_repeats(text).map_err(|mistake| (number, mistake))?;
            let line = Line { number, text };
            match &mut block {
                Some((_, _, inner)) => inner.push(line),
                None => lines.push(line),
            }
        }
    }
    match block {
        Some((_, _, inner)) => {
            Err((inner.first().map_or(0, |line| line.number), "@repeat without @end".to_owned()))
        }
        None => Ok(lines),
    }
}

struct Parser {
    transcript: Transcript,
    /// From the top of the file, for cases that say nothing themselves.
    oracles: Oracles,
    /// What a directive said about the next command.
    repetition: Repetition,
    differs: bool,
    /// Whether replies to the current command may name servers in their labels.
    labels_allowed: bool,
    /// An expectation whose brackets are still open, with its first line.
    open: Option<(usize, String)>,
}

impl Parser {
    fn new(path: &Path) -> Self {
        Self {
            transcript: Transcript {
                path: path.to_path_buf(),
                server_options: Vec::new(),
                fresh_connections: false,
                cases: Vec::new(),
            },
            oracles: Oracles::All,
            repetition: Repetition::Once,
            differs: false,
            labels_allowed: false,
            open: None,
        }
    }

    fn finish(self) -> Result<Transcript, (usize, Mistake)> {
        match self.open {
            Some((line, _)) => Err((line, "a bracket is not closed".to_owned())),
            None => Ok(self.transcript),
        }
    }

    fn line(&mut self, line: &Line) -> Result<(), Mistake> {
        if let Some((first, text)) = self.open.take() {
            return self.expectation(first, line.number, format!("{text}\n{}", line.text));
        }
        if let Some(title) = line.text.strip_prefix("==") {
            self.case(line.number, title.trim());
            Ok(())
        } else if let Some(directive) = line.text.strip_prefix('@') {
            self.directive(line, directive)
        } else if let Some((connection, mark, rest)) = sending(&line.text) {
            let action = match mark {
                ">" => Action::Command(command(rest)?),
                ">>" => Action::Raw(raw(rest)?),
                _ => Action::Receive,
            };
            self.step(line, connection, action)
        } else {
            self.expectation(line.number, line.number, line.text.clone())
        }
    }

    fn case(&mut self, line: usize, title: &str) {
        self.transcript.cases.push(Case {
            line,
            title: title.to_owned(),
            oracles: self.oracles.clone(),
            not_pipelined: false,
            steps: Vec::new(),
        });
    }

    fn directive(&mut self, line: &Line, directive: &str) -> Result<(), Mistake> {
        let (name, rest) = directive.split_once(' ').unwrap_or((directive, ""));
        let rest = rest.trim();
        match (name, self.transcript.cases.last_mut()) {
            ("server-options", None) => {
                self.transcript.server_options = rest.split(' ').map(str::to_owned).collect();
            }
            ("fresh-connections", None) => self.transcript.fresh_connections = true,
            ("oracle", None) => self.oracles = oracles(rest)?,
            ("oracle", Some(case)) if case.steps.is_empty() => case.oracles = oracles(rest)?,
            ("not-pipelined", Some(case)) if case.steps.is_empty() && !rest.is_empty() => {
                case.not_pipelined = true;
            }
            ("differs", Some(_)) if !rest.is_empty() => self.differs = true,
            ("eventually", Some(_)) => self.repetition = Repetition::Eventually,
            ("iterate", Some(_)) => self.repetition = Repetition::Iterate,
            ("elapse", Some(_)) => {
                let millis = rest.strip_suffix("ms").and_then(|number| number.parse().ok());
                let millis = millis.ok_or("@elapse needs a time such as 5ms")?;
                self.step(line, "", Action::Elapse(Duration::from_millis(millis)))?;
            }
            ("close", Some(_)) => self.step(line, rest, Action::Close)?,
            _ => return Err(format!("@{name} is unknown, out of place or incomplete")),
        }
        Ok(())
    }

    fn step(&mut self, line: &Line, connection: &str, action: Action) -> Result<(), Mistake> {
        let case = self.transcript.cases.last_mut().ok_or("a case (== title) must come first")?;
        case.steps.push(Step {
            line: line.number,
            last_line: line.number,
            source: line.text.clone(),
            connection: connection.to_owned(),
            action,
            repetition: std::mem::replace(&mut self.repetition, Repetition::Once),
            expectations: Vec::new(),
        });
        self.labels_allowed = std::mem::take(&mut self.differs);
        Ok(())
    }

    fn expectation(&mut self, first: usize, last: usize, text: String) -> Result<(), Mistake> {
        let (label, rest) = split_label(&text);
        let (protocol, servers) = label.map_or(Ok((None, Vec::new())), parse_label)?;
        if !servers.is_empty() && !self.labels_allowed {
            return Err("a label that names a server needs @differs and a reason".to_owned());
        }
        let what = match rest {
            "closed" => Expected::Closed,
            "nothing" => Expected::Nothing,
            _ => match rest.strip_prefix("<<") {
                Some(bytes) => Expected::Bytes(raw(bytes)?),
                None => match pattern::parse(rest) {
                    Ok(pattern) => Expected::Reply(pattern),
                    Err(PatternError::Incomplete) => {
                        self.open = Some((first, text));
                        return Ok(());
                    }
                    Err(PatternError::Mistake(mistake)) => return Err(mistake),
                },
            },
        };
        let step = self
            .transcript
            .cases
            .last_mut()
            .and_then(|case| case.steps.last_mut())
            .filter(|step| !matches!(step.action, Action::Elapse(_) | Action::Close))
            .ok_or("a reply without a command")?;
        step.last_line = last;
        step.expectations.push(Expectation { protocol, servers, what, source: rest.to_owned() });
        Ok(())
    }
}

/// `b>> rest` as connection, mark and rest; `None` when the line sends nothing.
fn sending(text: &str) -> Option<(&str, &str, &str)> {
    let name_end =
        text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(name_end);
    for mark in [">>", ">"] {
        if let Some(rest) = rest.strip_prefix(mark)
            && (rest.is_empty() || rest.starts_with(' '))
        {
            return Some((name, mark, rest.trim()));
        }
    }
    (rest == "<" && !name.is_empty()).then_some((name, "<", ""))
}

fn command(text: &str) -> Result<Vec<Word>, Mistake> {
    let mut cursor = Cursor::new(text);
    let mut words = Vec::new();
    loop {
        cursor.skip_spaces();
        match cursor.peek() {
            None => return Ok(words),
            Some(b'$') => {
                cursor.next();
                let name = cursor.take_while(|byte| !byte.is_ascii_whitespace());
                words.push(Word::Bound(name.to_owned()));
            }
            Some(_) => words.push(Word::Literal(word(&mut cursor)?)),
        }
    }
}

fn word(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, Mistake> {
    let mut bytes = Vec::new();
    while let Some(byte) = cursor.peek().filter(|byte| !byte.is_ascii_whitespace()) {
        if byte == b'"' {
            bytes.extend(cursor.quoted()?);
        } else {
            cursor.next();
            bytes.push(byte);
        }
    }
    Ok(bytes)
}

fn raw(text: &str) -> Result<Vec<u8>, Mistake> {
    let mut cursor = Cursor::new(text);
    let mut bytes = Vec::new();
    loop {
        cursor.skip_spaces();
        match cursor.peek() {
            None => return Ok(bytes),
            Some(b'"') => bytes.extend(cursor.quoted()?),
            Some(_) => return Err("raw bytes must be quoted".to_owned()),
        }
    }
}

/// `resp2: rest` as label and rest.
fn split_label(text: &str) -> (Option<&str>, &str) {
    if let Some((label, rest)) = text.split_once(':')
        && label
            .split(' ')
            .all(|word| ["resp2", "resp3"].contains(&word) || server_term(word).is_some())
    {
        return (Some(label), rest.trim_start());
    }
    (None, text)
}

fn parse_label(label: &str) -> Result<(Option<Protocol>, Vec<ServerTerm>), Mistake> {
    let mut protocol = None;
    let mut servers = Vec::new();
    for word in label.split(' ') {
        match word {
            "resp2" => protocol = Some(Protocol::Resp2),
            "resp3" => protocol = Some(Protocol::Resp3),
            _ => servers.push(server_term(word).ok_or_else(|| format!("unknown label {word}"))?),
        }
    }
    Ok((protocol, servers))
}

fn oracles(text: &str) -> Result<Oracles, Mistake> {
    let mut words = text.split_whitespace();
    if text == "none" {
        return Ok(Oracles::None);
    }
    words
        .try_fold(Vec::new(), |mut terms, word| {
            terms.push(server_term(word)?);
            Some(terms)
        })
        .filter(|terms| !terms.is_empty())
        .map(Oracles::Only)
        .ok_or_else(|| "@oracle needs servers such as redis>=8.4, or none".to_owned())
}

/// `redis`, `redis>=8.4`, `valkey<9`.
fn server_term(word: &str) -> Option<ServerTerm> {
    let end = word.find(['<', '>']).unwrap_or(word.len());
    let kind = match &word[..end] {
        "darter" => ServerKind::Darter,
        "redis" => ServerKind::Redis,
        "valkey" => ServerKind::Valkey,
        _ => return None,
    };
    let bound = &word[end..];
    let (at_least, below) = if let Some(text) = bound.strip_prefix(">=") {
        (Some(version(text)?), None)
    } else if let Some(text) = bound.strip_prefix('<') {
        (None, Some(version(text)?))
    } else if bound.is_empty() {
        (None, None)
    } else {
        return None;
    };
    Some(ServerTerm { kind, at_least, below })
}

/// `8`, `8.4` or `7.0.15`; what is left out is 0.
pub fn version(text: &str) -> Option<Version> {
    let mut parts = text.split('.').map(|part| part.parse::<u16>().ok());
    let mut part = || parts.next().unwrap_or(Some(0));
    let version = (part()?, part()?, part()?);
    parts.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::super::model::Target;
    use super::*;

    fn parse_text(text: &str) -> Result<Transcript, ParseError> {
        parse(Path::new("test.txt"), text)
    }

    #[test]
    fn a_small_transcript_is_read_whole() {
        let text = "\
# comment
@oracle redis>=8.4 valkey
== first
> SET \"a b\"c\"x\"*2 $id
+OK
b>> \"*1\\r\\n\" \"$4\\r\\n\"
nothing
@differs because
@eventually
> GET a
darter valkey>=9 resp3: [1
  2]
redis: nil
b<
closed
@elapse 5ms
@close b
== second
@oracle none
@repeat 1..3
> SET k# #
+OK
@end
";
        let transcript = parse_text(text).unwrap();
        let [first, second] = &transcript.cases[..] else { panic!("two cases") };
        assert_eq!(first.title, "first");
        assert_eq!(first.steps.len(), 6);
        let Action::Command(words) = &first.steps[0].action else { panic!("a command") };
        assert!(matches!(&words[1], Word::Literal(word) if word == b"a bcxx"));
        assert!(matches!(&words[2], Word::Bound(name) if name == "id"));
        assert!(matches!(&first.steps[1].action, Action::Raw(bytes) if bytes == b"*1\r\n$4\r\n"));
        assert_eq!(first.steps[2].repetition, Repetition::Eventually);
        assert_eq!(first.steps[2].expectations.len(), 2);
        assert_eq!((first.steps[2].line, first.steps[2].last_line), (10, 13));
        assert!(matches!(first.steps[3].expectations[0].what, Expected::Closed));
        assert_eq!(second.oracles, Oracles::None);
        assert_eq!(second.steps.len(), 3);
        assert_eq!(second.steps[2].source, "> SET k3 3");

        let redis = |version| Target { kind: ServerKind::Redis, version };
        assert!(first.oracles.include(redis((8, 4, 0))));
        assert!(!first.oracles.include(redis((7, 0, 15))));
        let expectation = &first.steps[2].expectations[0];
        let valkey = Target { kind: ServerKind::Valkey, version: (9, 0, 1) };
        assert!(expectation.applies(valkey, Protocol::Resp3));
        assert!(!expectation.applies(valkey, Protocol::Resp2));
        assert!(!expectation.applies(redis((8, 0, 0)), Protocol::Resp3));
    }

    #[test]
    fn mistakes_are_found_with_their_line() {
        for (text, line) in [
            ("> PING", 1),
            ("== a\n+OK", 2),
            ("== a\n> PING\nredis: +OK", 3),
            ("== a\n> PING\n[1", 3),
            ("== a\n@unknown", 2),
            ("== a\n@repeat 1..2\n> PING\n+PONG", 3),
            ("== a\n@end", 2),
            ("== a\n>> PING", 2),
            ("== a\n> \"x", 2),
            ("== a\n@elapse 5", 2),
            ("== a\n@differs", 2),
        ] {
            let error = parse_text(text).expect_err(text);
            assert_eq!(error.line, line, "{text}: {error}");
        }
    }
}
