//! The process itself.

use crate::config::parameter::{Parameter, Rewrite, checked, choice, flag, text, words};
use crate::config::settings::{OomScoreMode, Supervised};
use crate::config::{special, title};

pub(super) static PARAMETERS: &[Parameter] = &[
    flag("daemonize", "no", "Runs in the background.")
        .at_start()
        .sets(|to, value| to.process.daemonize = value.is_yes()),
    choice("supervised", Supervised::WORDS, "no", "Who is told of the start.")
        .at_start()
        .sets(|to, value| to.process.supervised = Supervised::of_choice(value.choice())),
    text("pidfile", "", "File the process id is written to.").at_start().sets(|to, value| {
        to.process.pid_file = String::from_utf8_lossy(value.bytes()).into_owned();
    }),
    choice("oom-score-adj", OomScoreMode::WORDS, "no", "Tells Linux whom to end.")
        .sets(|to, value| to.process.oom_score.mode = OomScoreMode::of_choice(value.choice())),
    words(
        "oom-score-adj-values",
        special::oom_scores,
        "0 200 800",
        "Scores for that: of a primary, and of what Redis has besides.",
    )
    .sets(|to, value| to.process.oom_score.value = special::oom_score_of_primary(value.bytes())),
    flag("set-proc-title", "yes", "Shows the address in the list of processes.")
        .at_start()
        .sets(|to, value| to.process.shows_title = value.is_yes()),
    checked(
        "proc-title-template",
        title::check,
        "{title} {listen-addr} {server-mode}",
        "How it is shown there.",
    )
    .sets(|to, value| {
        to.process.title_template = String::from_utf8_lossy(value.bytes()).into_owned();
    }),
    checked("locale-collate", special::locale, "", "Order of texts in SORT ALPHA: by bytes.")
        .rewrite(Rewrite::Line),
    text("ignore-warnings", "", "Warnings at start that are left out.").rewrite(Rewrite::Line),
    text("hash-seed", "", "Seed of Valkey's tables.").fixed(),
    text("req-res-logfile", "", "Log of requests and replies, for tests.").at_start().hidden(),
];
