//! What is told of a fatal signal.
//!
//! A handler may hardly do anything: the thread it interrupts can be anywhere, inside the allocator
//! or the log as well. So it only notes what only it knows (signal, address, the interrupted
//! thread's stack as bare addresses, the command that thread was running), wakes a thread that has
//! been waiting for this all along, and sleeps. That thread has a stack of its own and writes the
//! report in the ordinary way; then it lets the signal do what it does by default. Should it not
//! come to that, because the interrupted thread holds a lock it needs, the handler gives up waiting
//! and does so itself.
//!
//! Panics are none of this: they are reported by the panic hook, which runs as ordinary code. What
//! a panic's `abort` does afterwards is not reported again ([`mark_reported`]).
#![expect(unsafe_code, reason = "signal handlers, and raising a signal with its default action")]

use rustix::pipe::PipeFlags;
use std::cell::Cell;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::{io, mem, ptr, thread};

/// Signals that say the program is wrong.
const SIGNALS: [i32; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];

/// Deepest stack that is shown.
const FRAMES_MAX: usize = 64;

/// How long the interrupted thread waits for its report. Reading the debug information of a build takes seconds on a busy
/// machine.
const PATIENCE_SECONDS: i64 = 15;

/// What a thread is doing, in case it is the last thing it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InFlight {
    /// Name of the command; empty: none.
    pub command: &'static str,
    /// Its arguments, the name included.
    pub arguments: usize,
    /// Number of the client that sent it, 0 when that is another worker's.
    pub client: u64,
}

thread_local! {
    // Without a destructor and known at compile time: reading it in a handler allocates nothing.
    static COMMAND: Cell<(&'static str, usize)> = const { Cell::new(("", 0)) };
    static CLIENT: Cell<u64> = const { Cell::new(0) };
}

/// Notes the command this thread begins to run.
#[inline]
pub fn note_command(name: &'static str, arguments: usize) {
    COMMAND.set((name, arguments));
}

/// Notes the client whose input this thread looks at from now on; 0: another worker's.
#[inline]
pub fn note_client(id: u64) {
    CLIENT.set(id);
    COMMAND.set(("", 0));
}

/// What this thread is doing.
pub fn in_flight() -> InFlight {
    let (command, arguments) = COMMAND.get();
    InFlight { command, arguments, client: CLIENT.get() }
}

/// What is known of a fatal signal.
#[derive(Clone, Debug)]
pub struct FatalSignal {
    /// Its number.
    pub signal: i32,
    /// Why it was sent (`si_code`).
    pub code: i32,
    /// The address it is about.
    pub address: usize,
    /// What the interrupted thread was doing.
    pub in_flight: InFlight,
    /// Where it was: return addresses, innermost first.
    pub frames: Vec<usize>,
}

impl FatalSignal {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self.signal {
            libc::SIGSEGV => "SIGSEGV",
            libc::SIGBUS => "SIGBUS",
            libc::SIGFPE => "SIGFPE",
            libc::SIGILL => "SIGILL",
            libc::SIGABRT => "SIGABRT",
            _ => "signal",
        }
    }

    /// The stack, a line for each frame, with names where the executable has them.
    pub fn stack(&self) -> Vec<String> {
        self.frames.iter().map(|frame| Frame(*frame).to_string()).collect()
    }
}

/// A return address, shown with what it belongs to.
struct Frame(usize);

impl fmt::Display for Frame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#018x}", self.0)?;
        let mut result = Ok(());
        backtrace::resolve(self.0 as *mut _, |symbol| {
            result = (|| {
                if let Some(name) = symbol.name() {
                    write!(formatter, " {name:#}")?;
                }
                if let (Some(file), Some(line)) = (symbol.filename(), symbol.lineno()) {
                    write!(formatter, " ({}:{line})", file.display())?;
                }
                Ok(())
            })();
        });
        result
    }
}

/// What the handler leaves for the reporting thread. Written once, by the first thread that takes
/// `is_taken`, before it writes to the pipe; read after that was read.
struct Note {
    is_taken: AtomicBool,
    signal: AtomicI32,
    code: AtomicI32,
    address: AtomicUsize,
    command: AtomicUsize,
    command_bytes: AtomicUsize,
    arguments: AtomicUsize,
    client: AtomicUsize,
    frames: [AtomicUsize; FRAMES_MAX],
    frame_count: AtomicUsize,
}

static NOTE: Note = Note {
    is_taken: AtomicBool::new(false),
    signal: AtomicI32::new(0),
    code: AtomicI32::new(0),
    address: AtomicUsize::new(0),
    command: AtomicUsize::new(0),
    command_bytes: AtomicUsize::new(0),
    arguments: AtomicUsize::new(0),
    client: AtomicUsize::new(0),
    frames: [const { AtomicUsize::new(0) }; FRAMES_MAX],
    frame_count: AtomicUsize::new(0),
};

/// The pipe that wakes the reporting thread: its writing end.
static WAKE: OnceLock<OwnedFd> = OnceLock::new();

/// From now on fatal signals do what they do by default, without a report: there has been one.
pub fn mark_reported() {
    NOTE.is_taken.store(true, Ordering::SeqCst);
}

/// Lets `report` tell of the first fatal signal, on a thread of its own. To be called once.
///
/// # Errors
/// When the system has no pipe or no thread for it.
pub fn watch(report: impl FnOnce(&FatalSignal) + Send + 'static) -> io::Result<()> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let named = thread::Builder::new().name("darter-crash".to_owned());
    named.spawn(move || {
        let mut byte = [0];
        // Ends by itself when there is nothing left to write to the pipe.
        while rustix::io::read(&reader, &mut byte) == Err(rustix::io::Errno::INTR) {}
        if NOTE.is_taken.load(Ordering::SeqCst) {
            let signal = take_note();
            report(&signal);
            die_of(signal.signal);
        }
    })?;
    if WAKE.set(writer).is_err() {
        return Err(io::Error::other("fatal signals are watched already"));
    }
    SIGNALS.into_iter().try_for_each(handle)
}

/// What the handler noted.
fn take_note() -> FatalSignal {
    let count = NOTE.frame_count.load(Ordering::SeqCst).min(FRAMES_MAX);
    let command = NOTE.command.load(Ordering::SeqCst) as *const u8;
    let bytes = NOTE.command_bytes.load(Ordering::SeqCst);
    let command = if command.is_null() {
        ""
    } else {
        // SAFETY: pointer and length are those of one `&'static str`, stored by the only thread that
        // took the note.
        let bytes = unsafe { std::slice::from_raw_parts(command, bytes) };
        std::str::from_utf8(bytes).unwrap_or_default()
    };
    FatalSignal {
        signal: NOTE.signal.load(Ordering::SeqCst),
        code: NOTE.code.load(Ordering::SeqCst),
        address: NOTE.address.load(Ordering::SeqCst),
        in_flight: InFlight {
            command,
            arguments: NOTE.arguments.load(Ordering::SeqCst),
            client: NOTE.client.load(Ordering::SeqCst) as u64,
        },
        frames: NOTE.frames[..count].iter().map(|it| it.load(Ordering::SeqCst)).collect(),
    }
}

fn handle(signal: i32) -> io::Result<()> {
    // SAFETY: a `sigaction` of zeroes is valid: no flags, an empty mask, the default action.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = on_fatal_signal as *const () as usize;
    // On the alternate stack the standard library gave each thread: the ordinary one may have
    // overflown.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: `action` is valid, and the function has the signature `SA_SIGINFO` asks for.
    match unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Only what is allowed in a signal handler: atomics, system calls, walking the stack.
extern "C" fn on_fatal_signal(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    _: *mut libc::c_void,
) {
    if !NOTE.is_taken.swap(true, Ordering::SeqCst) {
        NOTE.signal.store(signal, Ordering::SeqCst);
        // SAFETY: the kernel hands a valid `siginfo_t` to a handler installed with `SA_SIGINFO`.
        let info = unsafe { &*info };
        NOTE.code.store(info.si_code, Ordering::SeqCst);
        // SAFETY: all of these signals have an address, or, sent by `kill`, the sender in its place.
        NOTE.address.store(unsafe { info.si_addr() } as usize, Ordering::SeqCst);
        let doing = in_flight();
        NOTE.command.store(doing.command.as_ptr() as usize, Ordering::SeqCst);
        NOTE.command_bytes.store(doing.command.len(), Ordering::SeqCst);
        NOTE.arguments.store(doing.arguments, Ordering::SeqCst);
        NOTE.client.store(usize::try_from(doing.client).unwrap_or(0), Ordering::SeqCst);
        note_frames();
        if let Some(wake) = WAKE.get() {
            // Without a reporting thread there is nobody to wait for, which shows below.
            let _ = rustix::io::write(wake, &[1]);
        }
        rest();
    } else if NOTE.signal.load(Ordering::SeqCst) != 0 {
        // Somebody else is being reported: stay out of the way until that ends the process.
        rest();
    }
    die_of(signal);
}

/// Walks this thread's stack.
fn note_frames() {
    let mut count = 0;
    // SAFETY: what makes this unsafe is two threads doing it at once while resolving names; only the
    // thread that took the note does it, and resolves nothing.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            NOTE.frames[count].store(frame.ip() as usize, Ordering::SeqCst);
            count += 1;
            count < FRAMES_MAX
        });
    }
    NOTE.frame_count.store(count, Ordering::SeqCst);
}

/// Sleeps for as long as a report may take.
fn rest() {
    let patience = rustix::thread::Timespec { tv_sec: PATIENCE_SECONDS, tv_nsec: 0 };
    // Waking up early is no harm.
    let _ = rustix::thread::nanosleep(&patience);
}

/// Ends the process by `signal`, as if nobody had handled it.
fn die_of(signal: i32) {
    // SAFETY: restoring the default action and raising are allowed anywhere.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    let this = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: as above; a plain system call on this process.
    unsafe { libc::kill(this, signal) };
    // In its handler the signal is blocked on this thread; another one dies of it.
    rest();
    std::process::abort();
}

/// Crashes, for `DEBUG SEGFAULT`: writes where nobody may.
pub fn provoke_segmentation_fault() {
    // SAFETY: there is nothing to be kept safe: ending in a fault is what this is for, and a write
    // to the first page always faults.
    unsafe { ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_knows_what_it_is_doing() {
        note_client(7);
        note_command("get", 2);
        assert_eq!(in_flight(), InFlight { command: "get", arguments: 2, client: 7 });
        let other = thread::spawn(in_flight).join().unwrap();
        assert_eq!(other, InFlight::default());
        note_client(8);
        assert_eq!(in_flight().command, "");
    }

    #[test]
    fn frames_show_names() {
        let mut here = 0;
        backtrace::trace(|frame| {
            here = frame.ip() as usize;
            false
        });
        assert!(Frame(here).to_string().contains("trace"), "{}", Frame(here));
    }
}
