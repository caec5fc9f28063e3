//! A line of a configuration file.

use darter_base::split_args::split_args;
use std::fmt;

/// A parameter's name and the words of its value, as a line of a file or an option gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// The name, in lower case.
    pub name: String,
    /// The words behind it.
    pub words: Vec<Vec<u8>>,
    /// Where it comes from, for messages: a line number, an option, a variable.
    pub origin: String,
}

/// A line that is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedLine {
    /// Counted from 1.
    pub number: usize,
}

impl fmt::Display for MalformedLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}: unbalanced quotes", self.number)
    }
}

impl std::error::Error for MalformedLine {}

impl Directive {
    /// Every directive of a file's text, in order; `#` begins a comment line.
    pub fn parse_all(text: &[u8]) -> Result<Vec<Self>, MalformedLine> {
        let mut directives = Vec::new();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let number = index + 1;
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let mut words = split_args(line).map_err(|_| MalformedLine { number })?.into_iter();
            let Some(name) = words.next() else { continue };
            directives.push(Self {
                name: String::from_utf8_lossy(&name).to_ascii_lowercase(),
                words: words.collect(),
                origin: format!("line {number}"),
            });
        }
        Ok(directives)
    }

    /// The words, borrowed.
    pub fn borrowed_words(&self) -> Vec<&[u8]> {
        self.words.iter().map(Vec::as_slice).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_redis_reads_it() {
        let text =
            b"# comment\n\n  PORT 7000\r\nbind 127.0.0.1 -::1\nsave \"\"\nrequirepass 'a b'\n";
        let directives = Directive::parse_all(text).unwrap();
        let shown: Vec<String> = directives
            .iter()
            .map(|Directive { name, words, origin }| {
                let words: Vec<_> =
                    words.iter().map(|word| String::from_utf8_lossy(word)).collect();
                format!("{origin}: {name} {words:?}")
            })
            .collect();
        assert_eq!(
            shown,
            [
                r#"line 3: port ["7000"]"#,
                r#"line 4: bind ["127.0.0.1", "-::1"]"#,
                r#"line 5: save [""]"#,
                r#"line 6: requirepass ["a b"]"#,
            ]
        );
        assert_eq!(Directive::parse_all(b"x\ny \"z\n"), Err(MalformedLine { number: 2 }));
    }
}
