//! Assembling the crates into a server, and running it until it is asked to end.

use crate::log::Log;
use crate::oom::OomScoreSetter;
use crate::options::{Configuration, rename_error};
use crate::supervision::{PidFile, Supervisor};
use crate::title::TitleSetter;
use crate::{crash, files, listeners, metrics};
use darter_base::UnixMillis;
use darter_replication::ReplicationId;
use darter_runtime::{
    DecideOnSignal, EndSignal, HttpEndpoint, ListenHandle, OnSignal, PeerAddress, RuntimeConfig,
    ShutdownHandle, Tunables,
};
use darter_server::config::{Settings, memory_limit};
use darter_server::loading::AtStart;
use darter_server::shared::{ApplySettings, Identity};
use darter_server::{REDIS_VERSION, Running, Shared, Worker, commands, journal, saving};
use darter_txn::Router;
use std::env;
use std::io::{self, IsTerminal as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::available_parallelism;
use std::time::Duration;

/// The commit this was built from, when the build says so.
pub(crate) const COMMIT: &str = match option_env!("DARTER_COMMIT") {
    Some(commit) => commit,
    None => "00000000",
};

/// What allocates.
pub(crate) const ALLOCATOR_NAME: &str = "mimalloc";

/// Shards for each worker unless told otherwise, so that two workers seldom want the same one.
const SHARDS_PER_WORKER: u16 = 4;

/// Who connects while data are being loaded waits for so long before he is told so.
const SILENT_LOADING_MAX: Duration = Duration::from_millis(100);

/// Runs the server.
pub(crate) fn run(configuration: Configuration) -> ExitCode {
    let settings = configuration.store.current();
    let supervisor = Supervisor::of(settings.process.supervised);
    let is_in_background = settings.process.daemonize && !supervisor.watches();
    // Relative paths of everything that follows begin there, as they do for Redis.
    if let Err(error) = env::set_current_dir(&settings.directory) {
        eprintln!("cannot go to the directory {}: {error}", settings.directory.display());
        return ExitCode::FAILURE;
    }
    let file = configuration.file.as_ref().map_or(String::new(), |path| path.display().to_string());
    let title = TitleSetter::new(&settings, &file);
    // What fails from here on, nobody at a terminal sees any more: the log is tried first.
    let log = match Log::start(&settings.log) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("Can't open the log file {}: {error}", settings.log.file);
            return ExitCode::FAILURE;
        }
    };
    if is_in_background && let Err(error) = darter_runtime::process::daemonize() {
        eprintln!("cannot go on in the background: {error}");
        return ExitCode::FAILURE;
    }
    log.apply(&settings.log);
    crash::install();
    crash::apply(&settings);
    match serve(configuration, &log, title, &supervisor, is_in_background) {
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
    mut configuration: Configuration,
    log: &Log,
    title: TitleSetter,
    supervisor: &Supervisor,
    is_in_background: bool,
) -> Result<(), Box<dyn std::error::Error>> {
    greet(&configuration);
    supervisor.warn();
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
    let oom_score = OomScoreSetter::new();
    // A reason to log, not to stay away.
    let _ = oom_score.apply(settings.process.oom_score);

    let rename_lines = configuration.take_rename_lines();
    let identity = identity(configuration.file.as_deref())?;
    let shared = Shared::new(
        Router::new(shard_count, worker_count, settings.routing),
        u64::from_le_bytes(random()?),
        configuration.store,
        identity,
        darter_commands::FAMILIES,
        commands::COMMANDS,
        &configuration.renames,
    );
    let shared = shared.map_err(|refused| {
        let error = rename_error(&rename_lines, refused);
        eprintln!("{error}");
        error
    })?;
    shared.begin_users(&configuration.users).inspect_err(|error| eprintln!("{error}"))?;
    let shared: &'static Shared = Box::leak(Box::new(shared));
    title.apply(&settings);
    // Before anybody runs who might want one.
    let shards = AtStart::begin(shared)?;
    let pid_file = PidFile::write(&settings.process, is_in_background);
    show_identity(&settings, log);
    let config = RuntimeConfig {
        on_signal: DecideOnSignal(Arc::new(|signal, is_ending| {
            decide_on(signal, is_ending, shared)
        })),
        ..runtime_config(&settings, worker_count)
    };
    let handle =
        darter_runtime::start::<Worker, _>(&config, move |context| Worker::new(shared, &context))?;
    tracing::info!("Reactor: {}", handle.reactor());
    tracing::info!(
        "Workers: {worker_count}, shards: {shard_count}, routing: {}",
        shared.config.text("routing")
    );
    show_memory(&settings);
    let applier = Applier {
        listening: Mutex::new(listening_of(&settings)),
        directory: Mutex::new(settings.directory.clone()),
        listen: handle.listen(),
        tunables: handle.tunables().clone(),
        log: log.clone(),
        title,
        oom_score,
        file_reserve,
    };
    let running = Running {
        reactor: handle.reactor().clone(),
        shutdown: handle.shutdown(),
        supervisor: supervisor.name(),
        apply: applier.into_function(),
    };
    shared.running.set(running).map_err(|_| "the server was started twice")?;
    let started_at = shared.identity.started_at;
    crash::set_facts(move || facts(shared, worker_count, started_at));
    let shutdown = handle.shutdown();
    let opened = match open(&handle.listen(), &settings, shared, &shutdown, shards) {
        Ok(opened) => opened,
        Err(error) => {
            shutdown.stop();
            handle.join()?;
            return Err(error);
        }
    };
    if opened.is_loaded {
        show_ready(&settings);
        supervisor.ready();
    }
    let (result, (closed, saved)) = handle.join_then(|| {
        // Probes are answered to the end.
        drop(opened.metrics);
        supervisor.stopping();
        let closed = journal::close_at_the_end(shared);
        (closed, saving::automatic::save_at_the_end(shared))
    });
    pid_file.remove();
    result?;
    closed?;
    Ok(saved?)
}

/// What there is when the sockets are open.
struct Opened {
    /// Whether the data are there; else the server has been told to end.
    is_loaded: bool,
    metrics: Option<HttpEndpoint>,
}

/// Opens the sockets and loads what there was when the server ended the last time; returns when that is there. Whoever
/// connects before is told so, unless it takes so little time that he need not be.
fn open(
    listen: &ListenHandle,
    settings: &Settings,
    shared: &'static Shared,
    shutdown: &ShutdownHandle,
    shards: AtStart,
) -> Result<Opened, Box<dyn std::error::Error>> {
    let (mut shards, mut loading, mut quick_result) = (Some(shards), None, None);
    let opened = |addresses: &[Option<PeerAddress>]| {
        listeners::give_to_group(settings);
        show_addresses(addresses);
        tracing::info!("Server initialized");
        // The sockets are opened once.
        let Some(shards) = shards.take() else { return };
        let begun = start_loading(shards);
        if let Ok(end) = &begun {
            quick_result = end.recv_timeout(SILENT_LOADING_MAX).ok();
        }
        loading = Some(begun);
    };
    listen
        .change_after(&listeners::of(settings)?, opened)
        .map_err(|error| listeners::describe(&error, settings))?;
    let end = loading.ok_or("nothing is loaded")??;
    let metrics = metrics::serve(settings, shared);
    if metrics.is_err() {
        // Nobody will be served: loading is given up.
        shutdown.stop();
    }
    let result = match quick_result {
        Some(result) => result,
        None => end.recv()?,
    };
    let metrics = metrics?;
    match result {
        Ok(()) => Ok(Opened { is_loaded: true, metrics }),
        // It does not matter what would have come.
        Err(_) if shutdown.has_begun() => Ok(Opened { is_loaded: false, metrics }),
        Err(error) => {
            tracing::error!("{error}");
            Err("Fatal error loading the DB, check server logs. Exiting.".into())
        }
    }
}

/// What loading comes to.
type LoadResult = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// Begins to load, on a thread that says when it is done.
fn start_loading(shards: AtStart) -> io::Result<mpsc::Receiver<LoadResult>> {
    let (done, end) = mpsc::channel();
    let run = move || {
        // Nobody listens any more only if the process ends.
        let _ = done.send(shards.run());
    };
    std::thread::Builder::new().name("darter-load".to_owned()).spawn(run)?;
    Ok(end)
}

fn show_ready(settings: &Settings) {
    if settings.port != 0 {
        tracing::info!("Ready to accept connections tcp");
    }
    if settings.unix_socket.is_some() {
        tracing::info!("Ready to accept connections unix");
    }
}

fn greet(configuration: &Configuration) {
    tracing::info!("oO0OoO0OoO0Oo Darter is starting oO0OoO0OoO0Oo");
    tracing::info!(
        "Darter version={}, redis_version={REDIS_VERSION}, bits={}, commit={COMMIT}, modified=0, \
         pid={}, just started",
        env!("CARGO_PKG_VERSION"),
        usize::BITS,
        std::process::id()
    );
    if let Some(path) = &configuration.file {
        tracing::info!("Configuration loaded from {}", path.display());
    } else {
        tracing::info!("No configuration file: defaults, environment and options only");
    }
    for warning in &configuration.warnings {
        tracing::warn!("{warning}");
    }
    let without_effect = configuration.without_effect();
    if !without_effect.is_empty() {
        tracing::warn!("Accepted without effect: {}", without_effect.join(", "));
    }
}

/// Mode, port and process id, on a picture where somebody watches.
fn show_identity(settings: &Settings, log: &Log) {
    let is_watched = settings.log.file.is_empty() && io::stdout().is_terminal();
    let (port, pid) = (settings.port, std::process::id());
    if settings.log.shows_logo || is_watched {
        log.picture(&format!(
            "\n      __\n   __/o \\_      Darter {}, {} bit\n   \\____  \\     Port: {port}\n      /    \\     PID: \
             {pid}\n   __/__/_\\_\\\n\n",
            env!("CARGO_PKG_VERSION"),
            usize::BITS
        ));
    }
    tracing::info!("Running mode=standalone, port={port}.");
    tracing::info!("PID: {pid}");
}

fn show_memory(settings: &Settings) {
    let limit = match memory_limit::read() {
        Some(limit) if limit.is_control_group => {
            format!("{} bytes by the control group", limit.bytes)
        }
        Some(limit) => format!("{} bytes, all of the machine's", limit.bytes),
        None => "not known".to_owned(),
    };
    match settings.maxmemory_bytes {
        0 => tracing::info!("Memory: maxmemory is not set, the process may use {limit}"),
        bytes if bytes == memory_limit::maxmemory() => {
            tracing::info!("Memory: maxmemory {bytes} bytes (auto), the process may use {limit}");
        }
        bytes => tracing::info!("Memory: maxmemory {bytes} bytes, the process may use {limit}"),
    }
}

fn show_addresses(addresses: &[Option<PeerAddress>]) {
    for address in addresses.iter().flatten() {
        match address {
            PeerAddress::Tcp(address) => tracing::info!("Listening on {address}"),
            PeerAddress::Unix(path) => {
                tracing::info!(
                    "The server is now ready to accept connections at {}",
                    path.display()
                );
            }
        }
    }
    if addresses.iter().all(Option::is_none) {
        tracing::warn!("Configured to not listen anywhere: neither port nor unixsocket is set");
    }
}

/// What a crash report says about the server. It runs while something is broken, so it only reads
/// counters and asks the system.
fn facts(shared: &Shared, worker_count: u16, started_at: UnixMillis) -> Vec<String> {
    let now = jiff::Timestamp::now().as_millisecond();
    let memory = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = memory.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    vec![
        format!(
            "uptime_in_seconds:{} run_id:{} config_file:{}",
            (now - started_at.0) / 1000,
            shared.identity.run_id,
            shared.identity.config_file
        ),
        format!(
            "workers:{worker_count} shards:{} reactor:{}",
            shared.router().shard_count(),
            shared.running.get().map(|running| running.reactor.to_string()).unwrap_or_default()
        ),
        format!(
            "connections:{} buffers:{} bytes {}",
            shared.statistics.iter().map(|worker| worker.connections.read()).sum::<u64>(),
            shared.buffer_bytes(),
            memory.split_whitespace().collect::<Vec<_>>().join(" ")
        ),
    ]
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

fn identity(config_file: Option<&Path>) -> Result<Identity, Box<dyn std::error::Error>> {
    let shown = |path: &Path| path.to_string_lossy().into_owned();
    Ok(Identity {
        run_id: hexadecimal(random::<20>()?),
        replication_id: ReplicationId::of_random(random::<20>()?),
        started_at: UnixMillis(jiff::Timestamp::now().as_millisecond()),
        process_id: std::process::id(),
        version: env!("CARGO_PKG_VERSION"),
        commit: COMMIT,
        allocator: ALLOCATOR_NAME,
        executable: env::current_exe().map(|path| shown(&path)).unwrap_or_default(),
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

fn runtime_config(settings: &Settings, worker_count: u16) -> RuntimeConfig {
    RuntimeConfig {
        workers: NonZeroUsize::new(worker_count.into()),
        reactor: settings.reactor,
        pinning: settings.pinning,
        tcp_keepalive_seconds: settings.tcp_keepalive_seconds,
        idle_timeout_seconds: settings.idle_timeout_seconds,
        query_buffer_limit_bytes: settings.query_buffer_limit_bytes,
        ..RuntimeConfig::default()
    }
}

/// What a signal does: it ends the server as SHUTDOWN with the options that its parameter has, unless the data are
/// to be saved before and cannot be. Who asks by SIGINT while it is ending does not want to wait for that.
fn decide_on(signal: EndSignal, is_ending: bool, shared: &Shared) -> OnSignal {
    if is_ending && signal == EndSignal::Interrupt {
        tracing::warn!("You insist... exiting now.");
        saving::leftovers::delete_own(&shared.config.current());
        return OnSignal::ExitAtOnce;
    }
    tracing::warn!("Received {} scheduling shutdown...", signal.name());
    let settings = shared.config.current();
    let request = match signal {
        EndSignal::Interrupt => settings.process.on_interrupt,
        EndSignal::Terminate => settings.process.on_terminate,
    };
    if shared.loading.is_under_way() {
        tracing::warn!("Received shutdown signal during loading, scheduling shutdown.");
        return OnSignal::Shutdown;
    }
    tracing::info!("User requested shutdown...");
    let ends = shared.saving.prepare_end(&settings, &shared.journal, request);
    if !ends {
        tracing::warn!(
            "{} received but errors trying to shut down the server, check the logs for more \
             information",
            signal.name()
        );
    }
    if ends {
        if !is_ending {
            shared.departure.hurry(request.is_hurried);
        }
        OnSignal::Shutdown
    } else {
        OnSignal::Nothing
    }
}

/// What decides where the server listens and can change while it runs.
type Listening = (u16, Vec<String>);

fn listening_of(settings: &Settings) -> Listening {
    (settings.port, settings.bind.clone())
}

/// What CONFIG SET changes outside of the server crate.
struct Applier {
    /// As it is.
    listening: Mutex<Listening>,
    /// Where the process is.
    directory: Mutex<PathBuf>,
    listen: ListenHandle,
    tunables: Tunables,
    log: Log,
    title: TitleSetter,
    oom_score: OomScoreSetter,
    file_reserve: u64,
}

/// The parameter that cannot be changed, and why.
type Refused = (&'static str, String);

impl Applier {
    fn into_function(self) -> ApplySettings {
        Box::new(move |settings| self.apply(settings))
    }

    /// What can fail comes first, so that there is only the listening to be undone.
    fn apply(&self, settings: &Settings) -> Result<(), Refused> {
        self.check_clients(settings)?;
        self.go_to_directory(settings)?;
        let mut listening = self.listening.lock().map_err(|_| ("port", String::new()))?;
        let wanted = listening_of(settings);
        if *listening != wanted {
            self.change_listeners(&listening, settings)?;
        }
        if let Err(reason) = self.oom_score.apply(settings.process.oom_score) {
            if *listening != wanted {
                let before =
                    Settings { port: listening.0, bind: listening.1.clone(), ..settings.clone() };
                // It was possible a moment ago.
                let _ = self.change_listeners(&wanted, &before);
            }
            return Err(("oom-score-adj", reason));
        }
        *listening = wanted;
        self.tunables.set_idle_timeout_seconds(settings.idle_timeout_seconds);
        self.tunables.set_query_buffer_limit_bytes(settings.query_buffer_limit_bytes);
        self.tunables.set_tcp_keepalive_seconds(settings.tcp_keepalive_seconds);
        self.title.apply(settings);
        self.log.apply(&settings.log);
        crash::apply(settings);
        Ok(())
    }

    /// Not again where the process is already: while that directory is gone, other parameters can be set.
    fn go_to_directory(&self, settings: &Settings) -> Result<(), Refused> {
        let mut directory = self.directory.lock().map_err(|_| ("dir", String::new()))?;
        if *directory != settings.directory {
            env::set_current_dir(&settings.directory)
                .map_err(|error| ("dir", error.to_string()))?;
            directory.clone_from(&settings.directory);
        }
        Ok(())
    }

    fn check_clients(&self, settings: &Settings) -> Result<(), Refused> {
        let limit = files::raise_to(settings.maxclients as u64 + self.file_reserve);
        let possible = limit.now.saturating_sub(self.file_reserve);
        if possible >= settings.maxclients as u64 {
            return Ok(());
        }
        let reason = format!(
            "The operating system is not able to handle the specified number of clients, try with \
             {possible}"
        );
        Err(("maxclients", reason))
    }

    fn change_listeners(&self, from: &Listening, settings: &Settings) -> Result<(), Refused> {
        let refusal = |error: &dyn std::fmt::Display| {
            tracing::warn!("{error}");
            if from.0 == settings.port {
                ("bind", "Failed to bind to specified addresses.".to_owned())
            } else {
                ("port", "Unable to listen on this port. Check server logs.".to_owned())
            }
        };
        let wanted = listeners::of(settings).map_err(|error| refusal(&error))?;
        let addresses = self.listen.change(&wanted).map_err(|error| refusal(&error))?;
        show_addresses(&addresses);
        Ok(())
    }
}
