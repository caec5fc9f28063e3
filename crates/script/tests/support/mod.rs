//! A server in miniature, for scripts to run in.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use darter_resp::{Args, Output, OwnedArgs, Protocol, ReplyWriter};
use darter_script::{
    Digest, Engine, EngineOptions, Host, Identity, LogLevel, Permission, RunArguments, ScriptError,
    Verdict, script_header,
};
use std::time::{Duration, Instant};

/// Answers a few commands, and stops scripts once they have run for `limit`.
pub(crate) struct Server {
    begun: Instant,
    pub(crate) limit: Duration,
    pub(crate) log: Vec<(LogLevel, String)>,
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "scripts are stopped by the clock")]
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), limit: Duration::from_secs(20), log: Vec::new() }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}

pub(crate) const STOP: &str = "Script killed by user with SCRIPT KILL.";

impl Host for Server {
    fn call(&mut self, args: Args<'_>, protocol: Protocol, output: &mut Output) -> Verdict {
        let mut reply = ReplyWriter::new(output, protocol);
        match args.at(0).to_ascii_uppercase().as_slice() {
            b"PING" => reply.simple("PONG"),
            b"ECHO" => reply.bulk(args.at(1)),
            b"RAW" => output.extend(args.at(1)),
            b"DOUBLE" => reply.double(1.5),
            b"NULL" => reply.null(),
            b"NOARRAY" => reply.null_array(),
            b"MAP" => {
                reply.map(1);
                reply.bulk(b"k");
                reply.integer(1);
            }
            b"BOOL" => reply.boolean(true),
            b"FAIL" => reply.error("WRONGTYPE not this"),
            _ => reply.error("ERR Unknown command called from script"),
        }
        Verdict::Continue
    }

    fn permission(&mut self, args: Args<'_>) -> Permission {
        match args.at(0) {
            b"ping" => Permission::Allowed,
            b"fail" => Permission::Denied,
            _ => Permission::UnknownCommand,
        }
    }

    fn log(&mut self, level: LogLevel, message: &[u8]) {
        self.log.push((level, String::from_utf8_lossy(message).into_owned()));
    }

    fn nanos(&mut self) -> u64 {
        u64::try_from(self.elapsed().as_nanos()).unwrap()
    }

    fn poll(&mut self) -> Verdict {
        if self.elapsed() > self.limit { Verdict::Stop(STOP) } else { Verdict::Continue }
    }
}

pub(crate) fn engine() -> Engine {
    Engine::new(EngineOptions {
        memory_bytes_max: 64 * 1024 * 1024,
        random_seed: 0,
        identity: Identity {
            redis_version: "7.2.4",
            valkey_version: "9.1.2",
            server_name: "darter",
        },
    })
    .unwrap()
}

pub(crate) fn arguments(words: &[&[u8]]) -> OwnedArgs {
    let mut args = OwnedArgs::new();
    for word in words {
        args.push(word);
    }
    args
}

/// Runs a script as EVAL does and returns the reply in wire format, or the error.
pub(crate) fn run_with(
    engine: &mut Engine,
    server: &mut Server,
    script: &str,
    keys: &[&[u8]],
    args: &[&[u8]],
    protocol: Protocol,
) -> Result<Vec<u8>, ScriptError> {
    let header =
        script_header(script.as_bytes()).map_err(|line| ScriptError { line, counted: false })?;
    let digest = Digest::of(script.as_bytes());
    engine.compile(digest, header.body)?;
    let (keys, args) = (arguments(keys), arguments(args));
    let arguments = RunArguments { keys: keys.as_args(), args: args.as_args(), name: "SHA" };
    let mut output = Output::new();
    let mut reply = ReplyWriter::new(&mut output, protocol);
    let result = engine.run(&digest, arguments, server, &mut reply);
    let written = output.to_vec();
    if result.is_err() {
        assert!(written.is_empty(), "a script that fails writes nothing");
    } else {
        output.assert_complete();
    }
    result.map(|()| written)
}

/// Runs a script in an engine of its own; an error is shown as in the reply.
pub(crate) fn eval(script: &str) -> String {
    eval_in(&mut engine(), script)
}

pub(crate) fn eval_in(engine: &mut Engine, script: &str) -> String {
    shown(run_with(engine, &mut Server::new(), script, &[], &[], Protocol::Resp2))
}

pub(crate) fn eval3(script: &str) -> String {
    shown(run_with(&mut engine(), &mut Server::new(), script, &[], &[], Protocol::Resp3))
}

fn shown(result: Result<Vec<u8>, ScriptError>) -> String {
    match result {
        Ok(reply) => reply
            .escape_ascii()
            .to_string()
            .replace("\\r\\n", "|")
            .replace("\\\"", "\"")
            .replace("\\\\", "\\")
            .replace("\\'", "'"),
        Err(error) => format!("-{}", String::from_utf8_lossy(&error.line)),
    }
}

/// What a script returns as a string.
pub(crate) fn text(script: &str) -> String {
    let result = run_with(&mut engine(), &mut Server::new(), script, &[], &[], Protocol::Resp2);
    match result {
        Ok(reply) => {
            let end = reply.windows(2).position(|pair| pair == b"\r\n").unwrap();
            let body = reply.get(end + 2..reply.len() - 2).unwrap_or_default();
            assert_eq!(reply[0], b'$', "a string, not {}", reply.escape_ascii());
            body.escape_ascii()
                .to_string()
                .replace("\\\"", "\"")
                .replace("\\\\", "\\")
                .replace("\\'", "'")
        }
        Err(error) => format!("-{}", String::from_utf8_lossy(&error.line)),
    }
}
