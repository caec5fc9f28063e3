//! The endpoint for metrics and probes.

use darter_base::UnixMillis;
use darter_runtime::{HttpEndpoint, ListenerConfig, PeerAddress, http};
use darter_server::Shared;
use darter_server::config::Settings;
use darter_server::metrics::{self, Figures};

/// Scrapes and probes that may wait to be accepted.
const BACKLOG: u32 = 64;

/// Starts the endpoint, if there is to be one. It ends when it is dropped.
pub(crate) fn serve(
    settings: &Settings,
    shared: &'static Shared,
) -> Result<Option<HttpEndpoint>, Box<dyn std::error::Error>> {
    if settings.metrics_port == 0 {
        return Ok(None);
    }
    let listeners = settings
        .metrics_bind
        .iter()
        .map(|word| ListenerConfig::tcp(word, settings.metrics_port, BACKLOG))
        .collect::<Result<Vec<_>, _>>()?;
    shared.figures.get_or_init(|| Figures::new(shared.router()));
    let endpoint = http::serve(&listeners, move |path| {
        let now = UnixMillis(jiff::Timestamp::now().as_millisecond());
        metrics::endpoint::answer(shared, path, now)
    })?;
    for address in endpoint.addresses() {
        if let PeerAddress::Tcp(address) = address {
            tracing::info!("Metrics on http://{address}/metrics");
        }
    }
    Ok(Some(endpoint))
}
