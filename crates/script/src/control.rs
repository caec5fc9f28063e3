//! What the parts of an engine share while a script runs: the way to the host, and whether to stop.

use crate::api::{Identity, Seen};
use crate::functions::LibraryFunction;
use crate::host::{HOST, Host, LogLevel, Permission, Verdict};
use crate::kept::{Pairs, Shelf};
use crate::library::cjson;
use crate::raised::Raised;
use crate::random::Random;
use darter_resp::{Args, Output, Protocol, Span};
use mlua::{Function, HookTriggers, Lua, Table, VmState};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The host is asked whether to go on this often, in nanoseconds: it serves others meanwhile.
const POLL_NANOS: u64 = 50_000;

/// Instructions between two looks at the clock, at most. One instruction can be slow (joining strings that fill the
/// memory budget takes some 20 ms), so there are fewer the slower they turn out, down to one.
const INSTRUCTIONS_PER_LOOK: u32 = 200;

/// Looks at the clock are to be this far apart, in nanoseconds: where they are twice as far there are fewer
/// instructions between them, and where they are half as far more of them.
const LOOK_NANOS: u64 = 50_000;

/// Steps of the collector, some two kilobytes each, between two looks at the clock.
const STEPS_PER_LOOK: usize = 128;

/// Units of work of a native function, some tens of nanoseconds each, between two looks at the clock.
const WORK_PER_LOOK: u32 = 1 << 10;

/// Bytes that Lua values take at most for each byte of text they are made of, and beside it. An empty map in
/// a reply is two tables for four bytes.
const VALUE_BYTES_PER_BYTE: usize = 64;
const VALUE_BYTES_BESIDE: usize = 64 * 1024;

/// What is asked of the host. Its arguments and answer are in [`Errand`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Question {
    /// How late it is, and whether to go on.
    #[default]
    Poll,
    Call,
    Permission,
    Log(u8),
    SetReplication(u8),
}

/// One question to the host and its answer. Its buffers are used again and again.
#[derive(Debug, Default)]
pub(crate) struct Errand {
    pub(crate) question: Question,
    pub(crate) bytes: Vec<u8>,
    pub(crate) spans: Vec<Span>,
    pub(crate) output: Output,
    pub(crate) permission: Option<Permission>,
    pub(crate) nanos: u64,
}

/// Errors of one reply that are counted.
const NOTED_ERRORS_MAX: usize = 64;

/// Buffers that a large reply made grow are given up beyond this.
const KEPT_BYTES: usize = 64 * 1024;

impl Errand {
    pub(crate) fn begin(&mut self, question: Question) {
        self.question = question;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.spans.clear();
        self.output.clear(KEPT_BYTES);
    }

    pub(crate) fn push_arg(&mut self, arg: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(arg);
        self.spans.push(Span { start, end: self.bytes.len() });
    }
}

/// The budget is lifted as long as this lives.
struct Lifted<'a> {
    lua: &'a Lua,
    memory_bytes_max: usize,
}

impl<'a> Lifted<'a> {
    fn new(lua: &'a Lua, memory_bytes_max: usize) -> Self {
        // Only states that others made have no limit to set.
        let _ = lua.set_memory_limit(0);
        Self { lua, memory_bytes_max }
    }
}

impl Drop for Lifted<'_> {
    fn drop(&mut self) {
        let _ = self.lua.set_memory_limit(self.memory_bytes_max);
    }
}

/// State of an engine that its native functions share. Belongs to one thread.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) errand: RefCell<Errand>,
    /// In which protocol replies become Lua values.
    pub(crate) protocol: Cell<Protocol>,
    /// Set once the script is to stop.
    stopped: Cell<Option<&'static str>>,
    pub(crate) random: RefCell<Random>,
    pub(crate) cjson: Rc<RefCell<cjson::Options>>,
    looked_at_nanos: Cell<u64>,
    polled_at_nanos: Cell<u64>,
    instructions_per_look: Cell<u32>,
    work: Cell<u32>,
    memory_bytes_max: usize,
    pub(crate) identity: Identity,
    /// Errors in the script's reply that no command has answered.
    pub(crate) errors: RefCell<Vec<Vec<u8>>>,
    /// Whether the reply has an error, counted or not.
    pub(crate) has_failed: Cell<bool>,
    /// The error that left the script.
    pub(crate) failure: RefCell<Option<Seen>>,
    /// Those of libraries.
    pub(crate) callbacks: RefCell<Shelf>,
    /// Lua's own `next`.
    next: Function,
    /// Functions registered so far, while a library is being loaded.
    pub(crate) loading: RefCell<Option<Vec<LibraryFunction>>>,
}

impl Control {
    /// For a state that is as Lua makes it.
    pub(crate) fn new(
        lua: &Lua,
        seed: i32,
        memory_bytes_max: usize,
        identity: Identity,
    ) -> mlua::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            errand: RefCell::default(),
            protocol: Cell::new(Protocol::Resp2),
            stopped: Cell::new(None),
            random: RefCell::new(Random::new(seed)),
            cjson: Rc::default(),
            looked_at_nanos: Cell::new(0),
            polled_at_nanos: Cell::new(0),
            instructions_per_look: Cell::new(INSTRUCTIONS_PER_LOOK),
            work: Cell::new(0),
            memory_bytes_max,
            identity,
            errors: RefCell::default(),
            has_failed: Cell::default(),
            failure: RefCell::default(),
            callbacks: RefCell::new(Shelf::new(lua)?),
            next: lua.globals().raw_get("next")?,
            loading: RefCell::default(),
        }))
    }

    /// The entries of a table.
    pub(crate) fn pairs_of(&self, table: Table) -> Pairs {
        Pairs::new(self.next.clone(), table)
    }

    /// Makes everything as it is for a script that has just begun.
    pub(crate) fn begin(&self, nanos: u64) {
        self.protocol.set(Protocol::Resp2);
        self.stopped.set(None);
        self.looked_at_nanos.set(nanos);
        self.polled_at_nanos.set(nanos);
        self.work.set(0);
        self.cjson.borrow_mut().reset();
    }

    /// Notes an error that is part of the script's reply; `counted` if it was when a command gave it to the script.
    pub(crate) fn note_error(&self, line: &[u8], counted: bool) {
        self.has_failed.set(true);
        if counted {
            return;
        }
        let mut errors = self.errors.borrow_mut();
        if errors.len() < NOTED_ERRORS_MAX {
            errors.push(line.to_vec());
        }
    }

    /// Stops the script if it is to be stopped: whatever catches an error asks this first.
    pub(crate) fn check_stopped(&self) -> mlua::Result<()> {
        match self.stopped.get() {
            Some(text) => Err(Raised::Stopped(text).into_error()),
            None => Ok(()),
        }
    }

    /// How many more bytes the script may use.
    pub(crate) fn memory_left(&self, lua: &Lua) -> usize {
        self.memory_bytes_max.saturating_sub(lua.used_memory())
    }

    /// Lets `make` make Lua values out of `text_bytes` bytes of text. Where they fit into the budget
    /// whatever they are, it is lifted meanwhile: as long as there is one, mlua makes each value in a protected
    /// call of its own, which costs more than most of the values (a script of three commands, pipelined, November
    /// 2026: 12 us of server CPU with it and 7 without; `bench/exchanges`).
    pub(crate) fn make<R>(&self, lua: &Lua, text_bytes: usize, make: impl FnOnce() -> R) -> R {
        let bytes =
            text_bytes.saturating_mul(VALUE_BYTES_PER_BYTE).saturating_add(VALUE_BYTES_BESIDE);
        let fits = bytes <= self.memory_left(lua);
        let _lifted = fits.then(|| Lifted::new(lua, self.memory_bytes_max));
        make()
    }

    /// Has the host answer what [`Control::errand`] asks.
    pub(crate) fn ask(&self) -> mlua::Result<()> {
        if !HOST.is_set() {
            return Err(Raised::Text(b"this needs a running script".to_vec()).into_error());
        }
        HOST.with(|host| self.answer(host));
        Ok(())
    }

    /// Looks at the clock, and asks the host when it is time to. Errs when the script is to stop.
    pub(crate) fn look(self: &Rc<Self>, lua: &Lua) -> mlua::Result<()> {
        if !HOST.is_set() {
            return Ok(());
        }
        self.check_stopped()?;
        self.errand.borrow_mut().question = Question::Poll;
        self.ask()?;
        self.check_stopped()?;
        let nanos = self.errand.borrow().nanos;
        let apart = nanos.saturating_sub(self.looked_at_nanos.replace(nanos));
        let before = self.instructions_per_look.get();
        let wanted = instructions_per_look(before, apart);
        if before != wanted {
            self.instructions_per_look.set(wanted);
            self.install_hook(lua)?;
        }
        Ok(())
    }

    /// Collects garbage after something found no memory, if there can be much: Lua 5.1 does not when it runs out, so
    /// that a script which catches that would fail with its next table. Others are served meanwhile.
    pub(crate) fn make_room(self: &Rc<Self>, lua: &Lua) -> mlua::Result<()> {
        if self.memory_left(lua) > self.memory_bytes_max / 2 {
            return Ok(());
        }
        // What became garbage while a cycle was under way goes with the next one.
        let mut cycles = 0;
        while cycles < 2 {
            for _ in 0..STEPS_PER_LOOK {
                cycles += usize::from(lua.gc_step()?);
            }
            self.look(lua)?;
        }
        Ok(())
    }

    /// Has Lua look at the clock again and again while it runs.
    pub(crate) fn install_hook(self: &Rc<Self>, lua: &Lua) -> mlua::Result<()> {
        let triggers = HookTriggers::new().every_nth_instruction(self.instructions_per_look.get());
        let control = Rc::clone(self);
        lua.set_global_hook(triggers, move |lua, _| control.look(lua).map(|()| VmState::Continue))
    }

    /// Counts `units` of work, some tens of nanoseconds each, done in a native function.
    pub(crate) fn work(self: &Rc<Self>, lua: &Lua, units: u32) -> mlua::Result<()> {
        let work = self.work.get().saturating_add(units);
        if work < WORK_PER_LOOK {
            self.work.set(work);
            return Ok(());
        }
        self.work.set(0);
        self.look(lua)
    }

    /// Has `host` answer [`Control::errand`].
    fn answer(&self, host: &mut dyn Host) {
        let errand = &mut *self.errand.borrow_mut();
        let args = Args::new(&errand.bytes, &errand.spans);
        match errand.question {
            Question::Poll => {
                errand.nanos = host.nanos();
                if errand.nanos.saturating_sub(self.polled_at_nanos.get()) >= POLL_NANOS {
                    self.polled_at_nanos.set(errand.nanos);
                    if let Verdict::Stop(text) = host.poll() {
                        self.stopped.set(Some(text));
                    }
                }
            }
            Question::Call => {
                if let Verdict::Stop(text) =
                    host.call(args, self.protocol.get(), &mut errand.output)
                {
                    self.stopped.set(Some(text));
                }
            }
            Question::Permission => errand.permission = Some(host.permission(args)),
            Question::Log(level) => {
                let level = match level {
                    0 => LogLevel::Debug,
                    1 => LogLevel::Verbose,
                    2 => LogLevel::Notice,
                    _ => LogLevel::Warning,
                };
                host.log(level, &errand.bytes);
            }
            Question::SetReplication(flags) => {
                host.set_replication(flags & 1 != 0, flags & 2 != 0);
            }
        }
    }
}

/// How many instructions are to pass until the next look, when `before` were to pass between the two latest ones,
/// which were `apart` nanoseconds apart.
fn instructions_per_look(before: u32, apart: u64) -> u32 {
    if apart > 2 * LOOK_NANOS {
        let fewer = u64::from(before) * LOOK_NANOS / apart;
        u32::try_from(fewer).unwrap_or(before).max(1)
    } else if apart < LOOK_NANOS / 2 {
        before.saturating_mul(2).min(INSTRUCTIONS_PER_LOOK)
    } else {
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_come_closer_when_instructions_are_slow_and_part_again() {
        assert_eq!(instructions_per_look(INSTRUCTIONS_PER_LOOK, 1_000), INSTRUCTIONS_PER_LOOK);
        assert_eq!(instructions_per_look(200, 1_000_000), 10);
        assert_eq!(instructions_per_look(10, 2 * LOOK_NANOS), 10);
        assert_eq!(instructions_per_look(10, LOOK_NANOS / 2), 10);
        assert_eq!(instructions_per_look(10, u64::MAX), 1);
        assert_eq!(instructions_per_look(1, 20_000_000), 1);
        let looks = std::iter::successors(Some(1), |count| Some(instructions_per_look(*count, 0)));
        assert_eq!(looks.take(9).last(), Some(INSTRUCTIONS_PER_LOOK));
    }
}
