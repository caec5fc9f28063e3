//! The binary: reads options, assembles the crates, runs; or talks to a server that runs (`client`); or looks
//! at files (`check_rdb`, `check_aof`).

#![forbid(unsafe_code)]

mod check;
mod check_aof;
mod check_rdb;
mod client;
mod crash;
mod files;
mod listeners;
mod log;
mod metrics;
mod oom;
mod options;
mod start;
mod supervision;
mod title;

use client::invocation::{Role, role_of};
use std::ffi::OsString;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: darter_runtime::Allocator = darter_runtime::Allocator;

fn main() -> ExitCode {
    let (role, args) = role_of(std::env::args_os().collect());
    match role {
        Role::Server => serve(args),
        Role::Cli => client::cli::run(args),
        Role::Healthcheck => client::healthcheck::run(args),
        Role::CheckRdb => check_rdb::run(&args),
        Role::CheckAof => check_aof::run(&args),
    }
}

fn serve(args: Vec<OsString>) -> ExitCode {
    match options::read_words(args) {
        Ok(options::Asked::Run(configuration)) => start::run(*configuration),
        Ok(options::Asked::Answered(code)) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
