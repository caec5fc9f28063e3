//! Telling whoever started the process how it is getting on, and the process id file.
//!
//! systemd's protocol is a datagram of `NAME=value` lines to the socket in `NOTIFY_SOCKET`
//! (`sd_notify(3)`); upstart waits for the process to stop itself.

use darter_server::config::{ProcessSettings, Supervised};
use std::ffi::{OsStr, OsString};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::{env, fs, io};

/// Where the process id is written when the process leaves the terminal and nothing else was said.
const DEFAULT_PID_FILE: &str = "/var/run/darter.pid";

/// Who is told.
#[derive(Debug)]
pub(crate) enum Supervisor {
    Nobody,
    Upstart,
    /// With its socket, unless the environment lacks it.
    Systemd(Option<OsString>),
}

impl Supervisor {
    /// As the configuration and the environment say.
    pub(crate) fn of(supervised: Supervised) -> Self {
        let socket = env::var_os("NOTIFY_SOCKET");
        match supervised {
            Supervised::Upstart => Self::Upstart,
            Supervised::Systemd => Self::Systemd(socket),
            Supervised::Auto if env::var_os("UPSTART_JOB").is_some() => Self::Upstart,
            Supervised::Auto if socket.is_some() => Self::Systemd(socket),
            Supervised::Auto | Supervised::No => Self::Nobody,
        }
    }

    /// Whether somebody watches over the process, so that it must not leave for the background.
    pub(crate) fn watches(&self) -> bool {
        !matches!(self, Self::Nobody)
    }

    /// As INFO shows it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Nobody => "no",
            Self::Upstart => "upstart",
            Self::Systemd(_) => "systemd",
        }
    }

    /// Tells what cannot work.
    pub(crate) fn warn(&self) {
        match self {
            Self::Systemd(None) => tracing::warn!(
                "systemd supervision requested or auto-detected, but NOTIFY_SOCKET is not set"
            ),
            Self::Systemd(Some(_)) => {
                tracing::info!(
                    "Supervised by systemd. Please make sure you set appropriate values for \
                     TimeoutStartSec and TimeoutStopSec in your service unit."
                );
            }
            Self::Upstart if env::var_os("UPSTART_JOB").is_none() => {
                tracing::warn!("upstart supervision requested, but UPSTART_JOB is not set");
            }
            Self::Upstart => {
                tracing::info!("Supervised by upstart, will stop to signal readiness.");
            }
            Self::Nobody => {}
        }
    }

    /// The server takes connections.
    pub(crate) fn ready(&self) {
        match self {
            Self::Systemd(socket) => {
                notify(socket.as_deref(), "READY=1\nSTATUS=Ready to accept connections\n");
            }
            Self::Upstart if env::var_os("UPSTART_JOB").is_some() => {
                let this = rustix::process::getpid();
                let _ = rustix::process::kill_process(this, rustix::process::Signal::STOP);
            }
            Self::Upstart | Self::Nobody => {}
        }
    }

    /// The server is about to end.
    pub(crate) fn stopping(&self) {
        if let Self::Systemd(socket) = self {
            notify(socket.as_deref(), "STOPPING=1\nSTATUS=Shutting down\n");
        }
    }
}

fn notify(socket: Option<&OsStr>, message: &str) {
    if let Some(socket) = socket
        && let Err(error) = send(socket, message)
    {
        tracing::warn!("cannot notify {}: {error}", socket.display());
    }
}

/// Sends to a path, or, behind an `@`, to a name without a file.
fn send(socket: &OsStr, message: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address).map(|_| ())
}

/// The file with the process id; gone when this is dropped.
pub(crate) struct PidFile(Option<String>);

impl PidFile {
    /// Writes it where it is asked for. Failing to is no reason not to serve, as it is none for
    /// Redis.
    pub(crate) fn write(settings: &ProcessSettings, is_in_background: bool) -> Self {
        let path = match settings.pid_file.as_str() {
            "" if is_in_background => DEFAULT_PID_FILE,
            "" => return Self(None),
            path => path,
        };
        // Working directories change.
        let path = std::path::absolute(path)
            .map_or_else(|_| path.to_owned(), |absolute| absolute.to_string_lossy().into_owned());
        match fs::write(&path, format!("{}\n", std::process::id())) {
            Ok(()) => Self(Some(path)),
            Err(error) => {
                tracing::warn!("Failed to write PID file: {path}: {error}");
                Self(None)
            }
        }
    }

    /// Removes it, and says so. Dropped, as where the start fails, it goes without a word: nothing is to stand between
    /// the reason and the end.
    pub(crate) fn remove(self) {
        if self.0.is_some() {
            tracing::info!("Removing the pid file.");
        }
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // It may be gone already.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(receiver: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let bytes = receiver.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..bytes].to_vec()).unwrap()
    }

    #[test]
    fn systemd_is_told_over_a_path_or_a_name() {
        let path = env::temp_dir().join(format!("darter-notify-{}", std::process::id()));
        let receiver = UnixDatagram::bind(&path).unwrap();
        let supervisor = Supervisor::Systemd(Some(path.clone().into()));
        supervisor.ready();
        assert!(received(&receiver).contains("READY=1\n"));
        supervisor.stopping();
        assert!(received(&receiver).contains("STOPPING=1\n"));
        fs::remove_file(path).unwrap();

        let name = format!("darter-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let receiver = UnixDatagram::bind_addr(&address).unwrap();
        Supervisor::Systemd(Some(format!("@{name}").into())).ready();
        assert!(received(&receiver).contains("READY=1\n"));
        // Nobody there, or nowhere to send to: the server goes on.
        Supervisor::Systemd(Some("/nowhere".into())).ready();
        Supervisor::Systemd(None).ready();
    }

    #[test]
    fn the_process_id_is_there_until_the_end() {
        let path = env::temp_dir().join(format!("darter-pid-{}", std::process::id()));
        let settings = ProcessSettings {
            pid_file: path.to_string_lossy().into_owned(),
            ..ProcessSettings::default()
        };
        let file = PidFile::write(&settings, false);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(file);
        assert!(!path.exists());
        assert!(PidFile::write(&ProcessSettings::default(), false).0.is_none());
    }
}
