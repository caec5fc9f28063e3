//! The entry point of the fuzz target: any bytes as a script, as its argument, and as a reply.

use crate::{
    Digest, Engine, EngineOptions, Host, Identity, LogLevel, Permission, RunArguments, Verdict,
    library_header, script_header,
};
use darter_resp::{Args, Output, OwnedArgs, Protocol, ReplyWriter};

/// Runs `bytes` as a script; as the argument of the libraries' readers; and as the format and data of
/// `struct` and patterns. Whatever happens, there is one reply or an error.
///
/// # Panics
/// When something is wrong with the engine.
pub fn script(bytes: &[u8]) {
    const READERS: &[u8] = b"
        pcall(cjson.decode, ARGV[1])
        pcall(cmsgpack.unpack, ARGV[1])
        pcall(struct.unpack, ARGV[1], ARGV[2])
        pcall(struct.pack, ARGV[1], ARGV[2], 1, 2, 3)
        pcall(string.find, ARGV[2], ARGV[1])
        pcall(string.gsub, ARGV[2], ARGV[1], ARGV[1])
        pcall(redis.call, ARGV[1], ARGV[2])
        local ok, value = pcall(cjson.decode, ARGV[1])
        return {ok, value, pcall(cmsgpack.pack, value), pcall(cjson.encode, value)}";
    let mut engine = Engine::new(EngineOptions {
        memory_bytes_max: 8 * 1024 * 1024,
        random_seed: 0,
        identity: Identity { redis_version: "1.2.3", valkey_version: "1.2.3", server_name: "s" },
    })
    .expect("there is memory for an engine");
    let half = bytes.len() / 2;
    let _ = library_header(bytes);
    if let Ok(header) = script_header(bytes) {
        run(&mut engine, header.body, bytes, half);
    }
    run(&mut engine, READERS, bytes, half);
    let _ = engine.load_library(bytes, &mut Nobody::default());
}

fn run(engine: &mut Engine, body: &[u8], bytes: &[u8], half: usize) {
    let digest = Digest::of(body);
    if engine.compile(digest, body).is_err() {
        return;
    }
    let mut args = OwnedArgs::new();
    args.push(&bytes[..half]);
    args.push(&bytes[half..]);
    let arguments = RunArguments { keys: Args::new(&[], &[]), args: args.as_args(), name: "fuzz" };
    let mut output = Output::new();
    let mut reply = ReplyWriter::new(&mut output, Protocol::Resp3);
    let result = engine.run(&digest, arguments, &mut Nobody::default(), &mut reply);
    assert_eq!(result.is_err(), output.is_empty(), "an error or a reply");
    if result.is_ok() {
        output.assert_complete();
    }
}

/// A host whose commands answer their first argument as it is, and whose clock goes by itself.
#[derive(Debug, Default)]
struct Nobody {
    nanos: u64,
}

impl Host for Nobody {
    fn call(&mut self, args: Args<'_>, _: Protocol, output: &mut Output) -> Verdict {
        output.extend(args.get(1).unwrap_or(b"+OK\r\n"));
        Verdict::Continue
    }

    fn permission(&mut self, _: Args<'_>) -> Permission {
        Permission::Denied
    }

    fn log(&mut self, _: LogLevel, _: &[u8]) {}

    fn nanos(&mut self) -> u64 {
        self.nanos += 100_000;
        self.nanos
    }

    fn poll(&mut self) -> Verdict {
        if self.nanos > 100_000_000 { Verdict::Stop("too long") } else { Verdict::Continue }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn some_inputs_are_survived() {
        for input in [
            &b""[..],
            b"return redis.call('x', ARGV[1])",
            b"#!lua name=a\nredis.register_function('f', function() end)",
            b"while true do end",
            b"[1, {\"a\": [null, 1e999]}]",
            b"\xdd\xff\xff\xff\xff\x91\x91",
            b">!8i32c0s(%b()[^a-%]%f",
            b"*2\r\n%1\r\n$1\r\na\r\n:1\r\n~9\r\n",
            &[0xff; 300],
        ] {
            super::script(input);
        }
    }
}
