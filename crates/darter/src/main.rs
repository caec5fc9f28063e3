//! The binary: reads options, assembles the crates, runs.

#![forbid(unsafe_code)]

mod check;
mod crash;
mod files;
mod listeners;
mod log;
mod oom;
mod options;
mod start;
mod supervision;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: darter_runtime::Allocator = darter_runtime::Allocator;

fn main() -> ExitCode {
    match options::read() {
        Ok(options::Asked::Run(configuration)) => start::run(*configuration),
        Ok(options::Asked::Answered(code)) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
