//! MEMORY USAGE. The container and its other subcommands show the state of the server.

use darter_command_table::{
    Access, Arg, Arity, Call, Command, Flags, Group, Handler, KeySpec, ReplyError, ReplyResult,
    ShardView,
};

/// What a key costs.
pub static USAGE: Command = Command {
    name: "USAGE",
    group: Group::Server,
    since: "4.0.0",
    summary: "Bytes of memory a key and its value take.",
    complexity: "O(1)",
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(2, Access::READ_ONLY)],
    args: &[Arg::key("key"), Arg::integer("count").token("SAMPLES").optional()],
    handler: Handler::Keyed(usage),
    ..Command::BASE
};

/// The number is exact, so samples are neither needed nor taken; the option is only checked.
fn usage(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let mut index = 3;
    while index < call.args.len() {
        if !call.is_word(index, "SAMPLES") || index + 1 == call.args.len() {
            return Err(ReplyError::Syntax);
        }
        if call.integer(index + 1)? < 0 {
            return Err(ReplyError::Syntax);
        }
        index += 2;
    }
    let key = call.key(2);
    match call.keyspace(view, &key).memory_usage(&key) {
        None => call.reply.null(),
        Some(bytes) => call.reply.integer(bytes.cast_signed() as i64),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Bench, transcript};

    #[test]
    fn samples_are_checked() {
        transcript(
            r"
            MEMORY USAGE k                      => $-1
            MEMORY USAGE k SAMPLES              => -ERR syntax error
            MEMORY USAGE k FOO 1                => -ERR syntax error
            MEMORY USAGE k SAMPLES x            => -ERR value is not an integer or out of range
            MEMORY USAGE k SAMPLES -1           => -ERR syntax error
            MEMORY USAGE k SAMPLES 0 SAMPLES 9  => $-1
            MEMORY USAGE                        => -ERR wrong number of arguments for 'memory|usage' command
            ",
        );
    }

    #[test]
    fn usage_grows_with_the_value() {
        let mut bench = Bench::new(1);
        bench.run("SET short 0123456789");
        bench.run(&format!("SET long {}", "x".repeat(10_000)));
        let mut usage = |key: &str| -> i64 {
            let reply = bench.run(&format!("MEMORY USAGE {key} SAMPLES 5"));
            let text = str::from_utf8(&reply).unwrap();
            text.trim_start_matches(':').trim_end().parse().unwrap()
        };
        let (short, long) = (usage("short"), usage("long"));
        assert!((16..100).contains(&short), "{short}");
        assert!((10_000..13_000).contains(&long), "{long}");
    }
}
