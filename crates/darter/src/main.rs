//! The binary: reads options, assembles the crates, runs.

#![forbid(unsafe_code)]

use clap::Parser;
use darter_base::UnixMillis;
use darter_runtime::{ListenerConfig, Reactor, RuntimeConfig};
use darter_server::config::{ConfigStore, Settings};
use darter_server::shared::{Identity, Running, Shared};
use darter_server::{Worker, commands};
use darter_txn::{Router, Routing};
use std::num::NonZeroUsize;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser, Debug)]
#[command(version)]
struct Options {
    #[arg(long, default_value_t = 6379)]
    port: u16,
    #[arg(long)]
    workers: Option<NonZeroUsize>,
    #[arg(long)]
    shards: Option<u16>,
    #[arg(long, default_value = "auto")]
    reactor: String,
    #[arg(long, default_value = "auto")]
    routing: String,
    #[arg(long)]
    save: Option<String>,
    #[arg(long)]
    appendonly: Option<String>,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stdout).init();
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn std::error::Error>> {
    let workers = options
        .workers
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN);
    let worker_count = u16::try_from(workers.get())?;
    let shards = options.shards.unwrap_or(if worker_count == 1 { 1 } else { worker_count * 4 });
    let routing = if options.routing == "queue" { Routing::Queue } else { Routing::Auto };
    let reactor = match options.reactor.as_str() {
        "glommio" => Reactor::Glommio,
        "epoll" => Reactor::Epoll,
        _ => Reactor::Auto,
    };
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|error| error.to_string())?;
    let shared: &'static Shared = Box::leak(Box::new(Shared::new(
        Router::new(shards, worker_count, routing),
        u64::from_le_bytes(seed),
        ConfigStore::new(Settings::default()),
        Identity {
            run_id: "0".repeat(40),
            started_at: UnixMillis(0),
            process_id: std::process::id(),
            port: options.port,
            version: env!("CARGO_PKG_VERSION"),
            build: "",
            executable: String::new(),
            config_file: String::new(),
        },
        darter_commands::FAMILIES,
        commands::COMMANDS,
    )));
    let config = RuntimeConfig {
        workers: Some(workers),
        reactor,
        listeners: vec![ListenerConfig::tcp("127.0.0.1", options.port, 511)?],
        ..RuntimeConfig::default()
    };
    let handle =
        darter_runtime::start::<Worker, _>(&config, move |context| Worker::new(shared, &context))?;
    let running = Running {
        reactor: handle.reactor().clone(),
        shutdown: handle.shutdown(),
        tunables: handle.tunables().clone(),
    };
    tracing::info!("reactor: {}", running.reactor);
    shared.running.set(running).map_err(|_| "started twice")?;
    tracing::info!("Ready to accept connections");
    Ok(handle.join()?)
}
