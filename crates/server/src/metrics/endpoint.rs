//! What is answered to which path.

use super::page::{self, Moment};
use crate::commands::info::{self, ShardTotals, Snapshot};
use crate::shared::Shared;
use darter_base::UnixMillis;
use darter_runtime::HttpAnswer;

/// The type of the page.
const PAGE_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What stands at the root, for people.
const INDEX: &str =
    "Darter: /metrics for Prometheus, /healthz (the process lives), /readyz (it serves)";

/// Why clients should not be sent here now; `None` when they should.
fn hindrance(moment: &Moment) -> Option<&'static str> {
    let shows = |field, word: &str| {
        info::value(&moment.info, field).is_some_and(|value| value.to_string() == word)
    };
    match moment.info.shared.running.get() {
        None => Some("starting"),
        Some(running) if running.shutdown.has_begun() => Some("shutting down"),
        Some(_) if shows("loading", "1") => Some("loading"),
        Some(_) if shows("master_link_status", "down") => Some("the link to the primary is down"),
        Some(_) => None,
    }
}

/// Answers one request.
pub fn answer(shared: &'static Shared, path: &str, now: UnixMillis) -> HttpAnswer {
    match path {
        "/metrics" => HttpAnswer {
            status: 200,
            content_type: PAGE_TYPE,
            body: page::render(&moment(shared, now)).into_bytes(),
        },
        "/healthz" => HttpAnswer::text(200, "ok"),
        "/readyz" => match hindrance(&moment(shared, now)) {
            None => HttpAnswer::text(200, "ok"),
            Some(reason) => HttpAnswer::text(503, reason),
        },
        "/" => HttpAnswer::text(200, INDEX),
        _ => HttpAnswer::text(404, "not found; try /metrics, /healthz or /readyz"),
    }
}

fn moment(shared: &'static Shared, now: UnixMillis) -> Moment {
    let shards = if shared.loading.is_under_way() {
        shared.loading.shards()
    } else {
        shared.figures.get().map(super::Figures::each).unwrap_or_default()
    };
    let totals = ShardTotals::sum(&shards);
    Moment { info: Snapshot::new(shared, now, totals), shards }
}
