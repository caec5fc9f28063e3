//! The endpoint for metrics and probes. Darter's own.

use crate::config::parameter::{Parameter, number, words};
use crate::config::special;

pub(super) static PARAMETERS: &[Parameter] = &[
    number("metrics-port", 0, 65_535, "0", "HTTP port for metrics and probes; 0: none.")
        .fixed()
        .sets(|to, value| to.metrics_port = value.number()),
    words("metrics-bind", special::bind, "127.0.0.1 -::1", "Addresses it listens on.")
        .fixed()
        .sets(|to, value| {
            let text = String::from_utf8_lossy(value.bytes()).into_owned();
            to.metrics_bind = text.split_ascii_whitespace().map(str::to_owned).collect();
        }),
];
