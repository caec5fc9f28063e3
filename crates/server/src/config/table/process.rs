//! The process itself.

use crate::config::parameter::{Parameter, checked, choice, flag, text};
use crate::config::special;

pub(super) static PARAMETERS: &[Parameter] = &[
    flag("daemonize", "no", "Runs in the background.").at_start(),
    choice("supervised", &["upstart", "systemd", "auto", "no"], "no", "Who is told of the start.")
        .at_start(),
    text("pidfile", "", "File the process id is written to.")
        .at_start()
        .sets(|to, value| to.pid_file = String::from_utf8_lossy(value.bytes()).into_owned()),
    flag("set-proc-title", "yes", "Shows the address in the list of processes.").at_start(),
    checked(
        "proc-title-template",
        special::title_template,
        "{title} {listen-addr} {server-mode}",
        "How it is shown there.",
    ),
    text("locale-collate", "", "Order of texts in SORT ALPHA."),
    text("ignore-warnings", "", "Warnings at start that are left out."),
    text("hash-seed", "", "Seed of Valkey's tables.").fixed(),
    text("req-res-logfile", "", "Log of requests and replies, for tests.").at_start().hidden(),
];
