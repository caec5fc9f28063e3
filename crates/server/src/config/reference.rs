//! The reference of all parameters, `docs/configuration.md`, made from the rows.

use crate::config::parameter::{Change, Parameter};
use crate::config::table::SECTIONS;
use std::fmt::{self, Write as _};

/// What stands above the first section.
const HEAD: &str = "\
# Configuration

<!-- Made from crates/server/src/config/table by a test of darter-server; with DARTER_BLESS=1 in the
environment the test writes this file instead of comparing it. -->

Every parameter can be given as a line of the configuration file (`name value`), as an option
(`--name value`) and as an environment variable (`DARTER_NAME`); CONFIG GET shows it. Those with a
dot in the column *effect* do something; the others are accepted so that existing configurations
work. *Set* says when: at *any* time with CONFIG SET, at any time if `enable-protected-configs`
allows it (*protected*), or at the *start* only. Parameters for tests are left out.
";

/// The whole text.
///
/// # Errors
/// None: writing to a string does not fail.
pub fn markdown() -> Result<String, fmt::Error> {
    let mut text = HEAD.to_owned();
    for section in SECTIONS {
        write!(text, "\n## {}\n\n", section.title)?;
        text.push_str(
            "| parameter | default | values | set | effect | |\n|---|---|---|---|---|---|\n",
        );
        for parameter in section.parameters.iter().filter(|parameter| !parameter.hidden) {
            write_row(&mut text, parameter)?;
        }
    }
    Ok(text)
}

fn write_row(text: &mut String, parameter: &Parameter) -> fmt::Result {
    let names: Vec<String> = parameter.names().map(|name| format!("`{name}`")).collect();
    let default = match parameter.default {
        "" => String::new(),
        default => format!("`{}`", default.replace('|', "\\|")),
    };
    let mut values = parameter.kind.describe();
    if !parameter.unit.is_empty() && !values.starts_with(parameter.unit) {
        write!(values, ", {}", parameter.unit)?;
    }
    let change = match parameter.change {
        Change::AtRunTime => "any",
        Change::Protected => "protected",
        Change::AtStart | Change::Fixed => "start",
    };
    let effect = if parameter.sets.is_some() { "•" } else { "" };
    writeln!(
        text,
        "| {} | {default} | {values} | {change} | {effect} | {} |",
        names.join(", "),
        parameter.summary
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_committed_reference_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
        let made = markdown().unwrap();
        if std::env::var_os("DARTER_BLESS").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == made,
            "docs/configuration.md is not what the rows say: run this test with DARTER_BLESS=1"
        );
    }
}
