//! The binary: reads options, assembles the crates, runs.

#![forbid(unsafe_code)]

mod files;
mod log;
mod options;
mod start;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: darter_runtime::Allocator = darter_runtime::Allocator;

fn main() -> ExitCode {
    match options::read() {
        Ok(options::Asked::Run(configuration)) => start::run(*configuration),
        Ok(options::Asked::Nothing) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
