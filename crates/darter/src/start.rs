//! Assembling the crates into a server, and running it until it is asked to end.

use crate::files;
use crate::log::{self, LevelHandle};
use crate::options::Configuration;
use darter_base::UnixMillis;
use darter_runtime::config::BindAddress;
use darter_runtime::{ListenerConfig, PeerAddress, RuntimeConfig, Tunables};
use darter_server::config::{BindWord, Settings};
use darter_server::shared::{ApplySettings, Identity};
use darter_server::{REDIS_VERSION, Running, Shared, Worker, commands};
use darter_txn::Router;
use std::fs;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::thread::available_parallelism;

/// The commit this was built from, when the build says so.
pub(crate) const COMMIT: &str = match option_env!("DARTER_COMMIT") {
    Some(commit) => commit,
    None => "00000000",
};

/// What allocates.
pub(crate) const ALLOCATOR_NAME: &str = "mimalloc";

/// Shards for each worker unless told otherwise, so that two workers seldom want the same one.
const SHARDS_PER_WORKER: u16 = 4;

/// Runs the server.
pub(crate) fn run(configuration: Configuration) -> ExitCode {
    let settings = configuration.store.current();
    let level = match log::start(settings.log_level, &settings.log_file) {
        Ok(level) => level,
        Err(error) => {
            eprintln!("cannot open the log file {}: {error}", settings.log_file);
            return ExitCode::FAILURE;
        }
    };
    match serve(configuration, level) {
        Ok(()) => {
            tracing::warn!("Darter is now ready to exit, bye bye...");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(
    configuration: Configuration,
    level: LevelHandle,
) -> Result<(), Box<dyn std::error::Error>> {
    greet(&configuration);
    let settings = configuration.store.current();
    let worker_count = match settings.workers {
        Some(workers) => workers.get(),
        None => u16::try_from(available_parallelism().map_or(1, NonZeroUsize::get))?,
    };
    let shard_count = settings.shards.map_or(
        if worker_count == 1 { 1 } else { worker_count.saturating_mul(SHARDS_PER_WORKER) },
        std::num::NonZeroU16::get,
    );
    let file_reserve = files::reserve(worker_count.into());
    limit_clients(&configuration, file_reserve)?;
    let settings = configuration.store.current();

    let shared: &'static Shared = Box::leak(Box::new(Shared::new(
        Router::new(shard_count, worker_count, settings.routing),
        u64::from_le_bytes(random()?),
        configuration.store,
        identity(&settings, configuration.file.as_deref())?,
        darter_commands::FAMILIES,
        commands::COMMANDS,
    )));
    let config = runtime_config(&settings, worker_count)?;
    let handle =
        darter_runtime::start::<Worker, _>(&config, move |context| Worker::new(shared, &context))?;
    tracing::info!("Reactor: {}", handle.reactor());
    tracing::info!(
        "Workers: {worker_count}, shards: {shard_count}, routing: {}",
        shared.config.text("routing")
    );
    for address in handle.addresses().iter().flatten() {
        match address {
            PeerAddress::Tcp(address) => tracing::info!("Listening on {address}"),
            PeerAddress::Unix(path) => tracing::info!("Listening on {}", path.display()),
        }
    }
    tracing::info!("Running mode=standalone, port={}.", settings.port);
    let running = Running {
        reactor: handle.reactor().clone(),
        shutdown: handle.shutdown(),
        apply: apply_settings(&settings, handle.tunables().clone(), level, file_reserve),
    };
    shared.running.set(running).map_err(|_| "the server was started twice")?;
    write_pid_file(&settings.pid_file);
    tracing::info!("Server initialized");
    tracing::info!("Ready to accept connections");
    let result = handle.join();
    if !settings.pid_file.is_empty() {
        // It may be gone already, or never have been written.
        let _ = fs::remove_file(&settings.pid_file);
    }
    Ok(result?)
}

/// Tells other programs the process id. Failing to is no reason not to serve, as it is none for
/// Redis.
fn write_pid_file(path: &str) {
    if path.is_empty() {
        return;
    }
    if let Err(error) = fs::write(path, format!("{}\n", std::process::id())) {
        tracing::warn!("cannot write the process id to {path}: {error}");
    }
}

fn greet(configuration: &Configuration) {
    tracing::info!(
        "Darter is starting: version={}, redis_version={REDIS_VERSION}, bits={}, commit={COMMIT}, \
         pid={}",
        env!("CARGO_PKG_VERSION"),
        usize::BITS,
        std::process::id()
    );
    if let Some(path) = &configuration.file {
        tracing::info!("Configuration loaded from {}", path.display());
    } else {
        tracing::info!("No configuration file: defaults and options only");
    }
    for warning in &configuration.warnings {
        tracing::warn!("{warning}");
    }
    let without_effect = configuration.without_effect();
    if !without_effect.is_empty() {
        tracing::warn!("Accepted without effect: {}", without_effect.join(", "));
    }
}

/// Raises the limit of open files for `maxclients`, or lowers `maxclients` to what there is.
fn limit_clients(
    configuration: &Configuration,
    reserve: u64,
) -> Result<(), Box<dyn std::error::Error>> {
    let wanted = configuration.store.current().maxclients as u64;
    let limit = files::raise_to(wanted + reserve);
    if limit.now >= wanted + reserve {
        if limit.now != limit.before {
            let files::OpenFiles { before, now } = limit;
            tracing::info!(
                "Increased maximum number of open files to {now} (it was originally set to \
                 {before})."
            );
        }
        return Ok(());
    }
    let possible = limit.now.saturating_sub(reserve);
    if possible == 0 {
        return Err(format!(
            "the limit of {} open files is too low to serve a single client: raise it with \
             'ulimit -n'",
            limit.now
        )
        .into());
    }
    tracing::warn!(
        "maxclients {wanted} needs {} open files, but at most {} are allowed: maxclients has been \
         reduced to {possible}. For more, raise 'ulimit -n'.",
        wanted + reserve,
        limit.now
    );
    configuration.store.set_at_start("maxclients", &[possible.to_string().as_bytes()])?;
    Ok(())
}

fn identity(
    settings: &Settings,
    config_file: Option<&std::path::Path>,
) -> Result<Identity, Box<dyn std::error::Error>> {
    let shown = |path: &std::path::Path| path.to_string_lossy().into_owned();
    Ok(Identity {
        run_id: hexadecimal(random::<20>()?),
        replication_id: hexadecimal(random::<20>()?),
        started_at: UnixMillis(jiff::Timestamp::now().as_millisecond()),
        process_id: std::process::id(),
        port: settings.port,
        version: env!("CARGO_PKG_VERSION"),
        commit: COMMIT,
        allocator: ALLOCATOR_NAME,
        executable: std::env::current_exe().map(|path| shown(&path)).unwrap_or_default(),
        config_file: config_file.map(shown).unwrap_or_default(),
    })
}

fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| format!("no random numbers: {error}"))?;
    Ok(bytes)
}

fn hexadecimal(bytes: [u8; 20]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn runtime_config(
    settings: &Settings,
    worker_count: u16,
) -> Result<RuntimeConfig, Box<dyn std::error::Error>> {
    let mut listeners = Vec::new();
    if settings.port != 0 {
        for word in &settings.bind {
            listeners.push(ListenerConfig::tcp(word, settings.port, settings.tcp_backlog)?);
        }
    }
    if let Some(path) = &settings.unix_socket {
        let address = BindAddress::Unix { path: path.clone(), mode: settings.unix_socket_mode };
        let backlog = settings.tcp_backlog;
        listeners.push(ListenerConfig { address, backlog, optional: false });
    }
    if listeners.is_empty() {
        tracing::warn!("Configured to not listen anywhere: neither port nor unixsocket is set");
    }
    Ok(RuntimeConfig {
        workers: NonZeroUsize::new(worker_count.into()),
        reactor: settings.reactor,
        pinning: settings.pinning,
        listeners,
        tcp_keepalive_seconds: settings.tcp_keepalive_seconds,
        idle_timeout_seconds: settings.idle_timeout_seconds,
        query_buffer_limit_bytes: settings.query_buffer_limit_bytes,
        ..RuntimeConfig::default()
    })
}

/// The words of the `bind` line.
fn bind_words(settings: &Settings) -> Vec<BindWord> {
    settings.bind.iter().filter_map(|word| BindWord::parse(word.as_bytes())).collect()
}

/// What CONFIG SET changes outside of the server crate.
fn apply_settings(
    at_start: &Settings,
    tunables: Tunables,
    level: LevelHandle,
    file_reserve: u64,
) -> ApplySettings {
    let (port, bind) = (at_start.port, bind_words(at_start));
    Box::new(move |settings| {
        if settings.port != port {
            tracing::warn!("the port cannot be changed while the server runs");
            return Err(("port", "Unable to listen on this port. Check server logs.".to_owned()));
        }
        let is_served = |word: &BindWord| bind.iter().any(|socket| socket.serves(word));
        if !bind_words(settings).iter().all(is_served) {
            tracing::warn!("addresses to listen on cannot be added while the server runs");
            return Err(("bind", "Failed to bind to specified addresses.".to_owned()));
        }
        let limit = files::raise_to(settings.maxclients as u64 + file_reserve);
        let possible = limit.now.saturating_sub(file_reserve);
        if possible < settings.maxclients as u64 {
            return Err((
                "maxclients",
                format!(
                    "The operating system is not able to handle the specified number of clients, \
                     try with {possible}"
                ),
            ));
        }
        tunables.set_idle_timeout_seconds(settings.idle_timeout_seconds);
        tunables.set_query_buffer_limit_bytes(settings.query_buffer_limit_bytes);
        tunables.set_tcp_keepalive_seconds(settings.tcp_keepalive_seconds);
        // Fails only when the log is gone, which happens at the end.
        let _ = level.reload(log::filter_of(settings.log_level));
        Ok(())
    })
}
