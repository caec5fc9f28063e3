//! Where lines of the log go: standard output or a file, and syslog besides.

use darter_server::config::LogSettings;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use tracing::Level;

/// The socket of the system's log.
const SYSLOG_PATH: &str = "/dev/log";

/// Where lines go.
pub(super) struct Sink {
    /// `None`: to standard output.
    file: Option<NamedFile>,
    syslog: Option<Syslog>,
}

impl Sink {
    pub(super) fn open(settings: &LogSettings) -> io::Result<Self> {
        let file = match settings.file.as_str() {
            "" => None,
            path => Some(NamedFile::open(path.into())?),
        };
        let syslog = settings.to_syslog.then(|| Syslog {
            path: SYSLOG_PATH.into(),
            socket: None,
            ident: settings.syslog_ident.clone(),
            facility: settings.syslog_facility.0,
        });
        Ok(Self { file, syslog })
    }

    /// Writes a whole line. There is nobody to tell when that fails.
    pub(super) fn write(&mut self, line: &[u8]) {
        let _ = match &mut self.file {
            Some(file) => file.write(line),
            None => io::stdout().lock().write_all(line).and_then(|()| io::stdout().flush()),
        };
    }

    pub(super) fn write_to_syslog(&mut self, level: Level, message: &str) {
        if let Some(syslog) = &mut self.syslog {
            // It may not be running, or be restarted just now.
            let _ = syslog.send(level, message);
        }
    }
}

/// A file by its name: when something else is there, because the old file was moved away for
/// instance, it is opened anew.
struct NamedFile {
    path: PathBuf,
    file: File,
    /// Device and inode.
    identity: (u64, u64),
}

impl NamedFile {
    fn open(path: PathBuf) -> io::Result<Self> {
        // Working directories change.
        let path = std::path::absolute(path)?;
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let identity = identity(&file.metadata()?);
        Ok(Self { path, file, identity })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if !is_at(&self.path, self.identity) {
            // When that fails the old file is better than none.
            if let Ok(new) = Self::open(self.path.clone()) {
                *self = new;
            }
        }
        self.file.write_all(line)
    }
}

fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn is_at(path: &Path, expected: (u64, u64)) -> bool {
    fs::metadata(path).is_ok_and(|found| identity(&found) == expected)
}

/// The system's log, over its local socket in the form of RFC 3164.
struct Syslog {
    path: PathBuf,
    /// Connected when it is needed, and again after a failure.
    socket: Option<UnixDatagram>,
    ident: String,
    facility: u8,
}

impl Syslog {
    fn send(&mut self, level: Level, message: &str) -> io::Result<()> {
        let priority = u16::from(self.facility) * 8 + severity_of(level);
        let time = jiff::Zoned::now().strftime("%b %e %H:%M:%S").to_string();
        let text = format!("<{priority}>{time} {}[{}]: {message}", self.ident, std::process::id());
        if let Some(socket) = &self.socket
            && socket.send(text.as_bytes()).is_ok()
        {
            return Ok(());
        }
        self.socket = None;
        let socket = UnixDatagram::unbound()?;
        // The log must not hold the server up.
        socket.set_nonblocking(true)?;
        socket.connect(&self.path)?;
        socket.send(text.as_bytes())?;
        self.socket = Some(socket);
        Ok(())
    }
}

/// Severity in the protocol.
const fn severity_of(level: Level) -> u16 {
    match level {
        Level::ERROR | Level::WARN => 4,
        Level::INFO => 5,
        Level::DEBUG => 6,
        Level::TRACE => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("darter-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let directory = scratch("log");
        let path = directory.join("a.log");
        let mut sink = Sink { file: Some(NamedFile::open(path.clone()).unwrap()), syslog: None };
        sink.write(b"1\n");
        fs::rename(&path, directory.join("a.log.1")).unwrap();
        sink.write(b"2\n");
        sink.write(b"3\n");
        assert_eq!(fs::read_to_string(directory.join("a.log.1")).unwrap(), "1\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "2\n3\n");
        fs::remove_file(&path).unwrap();
        sink.write(b"4\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "4\n");
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn syslog_gets_priority_name_and_process() {
        let directory = scratch("syslog");
        let path = directory.join("log");
        let mut syslog =
            Syslog { path: path.clone(), socket: None, ident: "darter".into(), facility: 16 };
        assert!(syslog.send(Level::INFO, "nobody listens").is_err());
        let receive = |receiver: &UnixDatagram| {
            let mut buffer = [0; 256];
            let bytes = receiver.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..bytes].to_vec()).unwrap()
        };
        for _ in 0..2 {
            let receiver = UnixDatagram::bind(&path).unwrap();
            syslog.send(Level::WARN, "hello").unwrap();
            let line = receive(&receiver);
            assert!(line.starts_with("<132>"), "{line}");
            assert!(line.ends_with(&format!(" darter[{}]: hello", std::process::id())), "{line}");
            // It is restarted.
            fs::remove_file(&path).unwrap();
        }
        fs::remove_dir_all(&directory).unwrap();
    }
}
