//! The text of `--help`, made from the rows.

use crate::config::parameter::{Parameter, Support};
use crate::config::table::SECTIONS;
use crate::config::value::Kind;
use std::fmt::{self, Write as _};

/// What stands above the options.
const HEAD: &str = "\
A Redis-compatible in-memory cache server that uses every core of a machine.

Usage: darter [FILE] [-] [--NAME VALUE...]...
       darter cli | healthcheck | check-rdb --help
       darter --check-system
       darter --version | -v
       darter --help | -h

FILE is a configuration file in the syntax of redis.conf, - reads one from standard input. Every
option is also a line of the configuration file, a name for CONFIG GET and, in capitals, an
environment variable (DARTER_PORT=7000; REDIS_PASSWORD is taken for requirepass). Options count
more than the environment, and that more than files. Those marked 'no effect' are accepted so that
existing configurations work.

Examples:
  darter
  darter /etc/darter.conf --port 7000 --save ''
  darter --bind 127.0.0.1 -::1 --maxmemory 75% --maxmemory-policy allkeys-lru
  darter --cache-mode
  echo 'maxmemory 1gb' | darter -

--cache-mode makes a cache of what memory there is: it stands for --maxmemory-policy allkeys-s3 and for
--maxmemory auto, or 75% of the machine where there is no container. Options behind it change either.
";

/// Column in which summaries begin.
const SUMMARY_COLUMN: usize = 46;

/// The whole text.
///
/// # Errors
/// None: writing to a string does not fail.
pub fn text() -> Result<String, fmt::Error> {
    let mut text = HEAD.to_owned();
    for section in SECTIONS {
        write!(text, "\n{}:\n", section.title)?;
        for parameter in section.parameters.iter().filter(|parameter| !parameter.hidden) {
            write_option(&mut text, parameter)?;
        }
    }
    Ok(text)
}

fn write_option(text: &mut String, parameter: &Parameter) -> fmt::Result {
    let option = format!("  --{} {}", parameter.name, value_name(parameter.kind));
    let unit = if parameter.unit.is_empty() { "" } else { " " };
    let default = if parameter.default.is_empty() { "none" } else { parameter.default };
    let support = match parameter.support() {
        Support::Effective => "",
        Support::Accepted => ", no effect",
        Support::Refused(_) => ", not supported",
    };
    writeln!(
        text,
        "{option:<width$} {} [{default}{unit}{}{support}]",
        parameter.summary,
        parameter.unit,
        width = SUMMARY_COLUMN
    )
}

fn value_name(kind: Kind) -> String {
    match kind {
        Kind::Flag => "yes|no".to_owned(),
        Kind::Choice(choices) if choices.len() <= 4 => choices.join("|"),
        Kind::Words(_) => "VALUE...".to_owned(),
        Kind::Number { .. } | Kind::Clamped { .. } | Kind::Octal { .. } => "NUMBER".to_owned(),
        Kind::Memory { .. } | Kind::MemoryOrPercent { .. } | Kind::MachineMemory => {
            "BYTES".to_owned()
        }
        Kind::Choice(_) | Kind::Text(_) | Kind::Formed(_) => "VALUE".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::rows;

    #[test]
    fn every_parameter_that_is_not_hidden_has_a_line() {
        let text = text().unwrap();
        for row in rows() {
            let shown = text.contains(&format!("\n  --{} ", row.parameter.name));
            assert_eq!(shown, !row.parameter.hidden, "{}", row.parameter.name);
        }
    }
}
