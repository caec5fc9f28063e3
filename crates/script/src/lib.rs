//! Lua scripts as Redis runs them: one engine, which knows no server.
//!
//! A script is a text. It is compiled once per engine, gets keys and arguments, calls commands through a
//! [`Host`], and returns a value that becomes a reply. It shares nothing with other scripts, and it ends
//! when the host says so, whatever it does: see `control.rs` for how. What it does *not* do: know a
//! command, a shard or a client, read a clock, or decide which scripts there are.
//!
//! Read `engine.rs` first, then `sandbox/prelude.lua`, which makes the world scripts live in. The
//! modules of `library` are what Redis adds to Lua's own.

#![forbid(unsafe_code)]

mod api;
mod arguments;
mod control;
mod digest;
mod engine;
pub mod exercise;
mod flags;
mod functions;
mod host;
mod kept;
mod library;
mod pattern;
mod position;
mod raised;
mod random;
mod sandbox;
mod to_lua;
mod to_reply;

pub use api::Identity;
pub use digest::Digest;
pub use engine::{Engine, EngineOptions, RunArguments, ScriptError};
pub use flags::{Header, LibraryHeader, ScriptFlags, is_name, library_header, script_header};
pub use functions::LibraryFunction;
pub use host::{Host, LogLevel, Permission, Verdict};
