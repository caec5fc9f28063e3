//! The command line, brought into lines of configuration.
//!
//! It has Redis's form: an optional file, then options, each a line of configuration of which the
//! shell has already made words. `--name` begins a line, and what follows up to the next `--name` is
//! its value; right behind a name even a word that begins with `--` is a value, so that any value
//! can be given. `--name value` in one word is a line as well. `-` as the first or the last word
//! stands for standard input. Beside Redis's, `--name=value` is understood.

use crate::config::line::quoted;
use crate::config::load::CACHE_MODE;
use crate::config::table::row_named;
use darter_base::split_args::{append_quoted, split_args};

/// What the command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// The configuration file.
    pub file: Option<Vec<u8>>,
    /// Whether more configuration comes from standard input.
    pub reads_standard_input: bool,
    /// The options, each the text of a line.
    pub lines: Vec<Vec<u8>>,
}

impl CommandLine {
    /// Reads the words behind the name of the program.
    pub fn parse(words: &[Vec<u8>]) -> Self {
        let mut this = Self::default();
        let (file, rest) = match words {
            [first, rest @ ..] if !first.starts_with(b"-") => (Some(first.clone()), rest),
            _ => (None, words),
        };
        this.file = file;
        let is_first = |index: usize| index == 0 && this.file.is_none();
        let mut reads_standard_input = false;
        let mut lines: Vec<Vec<u8>> = Vec::new();
        // Whether the last name has a value, so that a word that begins with -- is a name again.
        let mut may_begin_line = true;
        for (index, word) in rest.iter().enumerate() {
            let next = rest.get(index + 1);
            if word == b"-" && (is_first(index) || next.is_none()) {
                reads_standard_input = true;
            } else if let Some(option) = word.strip_prefix(b"--").filter(|_| may_begin_line) {
                let line = begin_line(option, next);
                may_begin_line = line.has_value;
                lines.push(line.text);
            } else {
                if lines.is_empty() {
                    lines.push(Vec::new());
                }
                if let Some(line) = lines.last_mut() {
                    line.push(b' ');
                    append_quoted(line, word);
                }
                may_begin_line = true;
            }
        }
        this.reads_standard_input = reads_standard_input;
        this.lines = lines.iter().map(|line| line.trim_ascii().to_vec()).collect();
        this
    }
}

/// The beginning of a line.
struct Beginning {
    text: Vec<u8>,
    has_value: bool,
}

/// Begins a line with `option`, the word behind `--`; `next` is the word after it.
fn begin_line(option: &[u8], next: Option<&Vec<u8>>) -> Beginning {
    if let Some(equals) = option.iter().position(|byte| *byte == b'=')
        && let Some(row) = row_named(&option[..equals])
    {
        let text = quoted(row.parameter.name, &option[equals + 1..]);
        return Beginning { text, has_value: true };
    }
    let has_value = split_args(option).map_or(true, |words| words.len() > 1);
    // `--save` without anything means no save points: people build command lines from lists that
    // may be empty.
    let is_cache_mode = option.eq_ignore_ascii_case(CACHE_MODE.as_bytes());
    let is_empty_save = option.eq_ignore_ascii_case(b"save");
    match next {
        Some(next) if is_empty_save && next.starts_with(b"--") => {
            Beginning { text: quoted("save", b""), has_value: true }
        }
        None if is_empty_save => Beginning { text: quoted("save", b""), has_value },
        // The one switch that is complete without a value.
        _ if is_cache_mode && next.is_none_or(|next| next.starts_with(b"--")) => {
            Beginning { text: quoted(CACHE_MODE, b"yes"), has_value: true }
        }
        _ => Beginning { text: option.to_vec(), has_value },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> CommandLine {
        let words: Vec<Vec<u8>> = line.iter().map(|word| word.as_bytes().to_vec()).collect();
        CommandLine::parse(&words)
    }

    fn lines(line: &[&str]) -> Vec<String> {
        parse(line).lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
    }

    #[test]
    fn words_behind_a_name_are_its_value() {
        assert_eq!(
            lines(&["a.conf", "--port", "7000", "--bind", "127.0.0.1", "-::1"]),
            [r#"port "7000""#, r#"bind "127.0.0.1" "-::1""#]
        );
        assert_eq!(parse(&["a.conf", "--port", "1"]).file, Some(b"a.conf".to_vec()));
        assert_eq!(lines(&["--port"]), ["port"]);
        assert_eq!(lines(&["--maxmemory 700mb", "--port", "1"]), ["maxmemory 700mb", "port \"1\""]);
        assert_eq!(lines(&["--requirepass=a b=c"]), [r#"requirepass "a b=c""#]);
    }

    #[test]
    fn a_value_may_look_like_a_name() {
        assert_eq!(lines(&["--port", "--loglevel", "verbose"]), [r#"port "--loglevel" "verbose""#]);
        assert_eq!(lines(&["--port", "--bla", "--x", "y"]), [r#"port "--bla""#, r#"x "y""#]);
        assert_eq!(
            lines(&["--proc-title-template", "--save", "--save", "", "--loglevel", "verbose"]),
            [r#"proc-title-template "--save""#, r#"save """#, r#"loglevel "verbose""#]
        );
    }

    #[test]
    fn save_without_a_value_means_none() {
        assert_eq!(lines(&["--save", "--port", "1"]), [r#"save """#, r#"port "1""#]);
        assert_eq!(lines(&["--port", "1", "--save"]), [r#"port "1""#, r#"save """#]);
        assert_eq!(lines(&["--save", "60", "1"]), [r#"save "60" "1""#]);
    }

    #[test]
    fn cache_mode_needs_no_value() {
        let expected = [r#"cache-mode "yes""#, r#"port "1""#];
        assert_eq!(lines(&["--cache-mode", "--port", "1"]), expected);
        assert_eq!(lines(&["--cache-mode", "yes", "--port", "1"]), expected);
        assert_eq!(lines(&["--port", "1", "--cache-mode"])[1], expected[0]);
        assert_eq!(lines(&["--cache-mode=no"]), ["cache-mode=no"]);
    }

    #[test]
    fn a_dash_stands_for_standard_input() {
        assert!(parse(&["-"]).reads_standard_input);
        assert!(parse(&["-", "--port", "1"]).reads_standard_input);
        assert!(parse(&["a.conf", "-"]).reads_standard_input);
        assert!(parse(&["--port", "1", "-"]).reads_standard_input);
        let between = parse(&["a.conf", "--requirepass", "-", "--port", "1"]);
        assert!(!between.reads_standard_input);
        assert_eq!(between.lines[0], br#"requirepass "-""#);
    }

    #[test]
    fn words_without_a_name_are_a_line() {
        assert_eq!(
            lines(&["a.conf", "loglevel", "verbose", "--port", "1"]),
            [r#""loglevel" "verbose""#, r#"port "1""#]
        );
    }
}
