//! What clients may do and hold.

use crate::client_memory::ClientMemoryLimit;
use crate::config::parameter::{
    INT, LONG, Parameter, Rewrite, choice, flag, memory, number, of_kind, text, words,
};
use crate::config::settings::{OutputLimits, Permission};
use crate::config::special;
use crate::config::value::Kind;
use darter_acl::ChannelDefault;

pub(super) static PARAMETERS: &[Parameter] = &[
    number("maxclients", 1, u32::MAX as i128, "10000", "Most connections at a time.")
        .sets(|to, value| to.maxclients = value.number()),
    text("requirepass", "", "Password of the default user; empty: none is needed.")
        .secret()
        .sets(|to, value| to.requirepass = value.bytes().to_vec()),
    memory("proto-max-bulk-len", 1 << 20, LONG, "512mb", "Longest argument and string value.")
        .unit("bytes")
        .sets(|to, value| to.proto_max_bulk_len = value.number()),
    memory("client-query-buffer-limit", 1 << 20, LONG, "1gb", "Unread input that closes a client.")
        .unit("bytes")
        .sets(|to, value| to.query_buffer_limit_bytes = value.number()),
    words(
        "client-output-buffer-limit",
        special::output_limits,
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        "Unsent output that closes a client: class, hard limit, soft limit, seconds.",
    )
    .rewrite(Rewrite::Lines(special::output_limit_lines))
    .sets(|to, value| to.output_limits = OutputLimits::of_text(value.bytes())),
    choice("enable-debug-command", Permission::WORDS, "no", "Who may use DEBUG.")
        .at_start()
        .sets(|to, value| to.debug_command = Permission::of_choice(value.choice())),
    choice(
        "enable-protected-configs",
        Permission::WORDS,
        "no",
        "Who may set protected parameters.",
    )
    .at_start()
    .sets(|to, value| to.protected_configs = Permission::of_choice(value.choice())),
    choice("enable-module-command", Permission::WORDS, "no", "Who may use MODULE.").at_start(),
    of_kind(
        "maxmemory-clients",
        Kind::MemoryOrPercent { percent_max: 100 },
        "0",
        "Memory of all clients above which the largest are closed; 0: none. A percentage is one of maxmemory. At least 128kb.",
    )
    .sets(|to, value| to.client_memory = ClientMemoryLimit::of_number(value.number())),
    text("aclfile", "", "File of users; empty: lines of the configuration say who they are.")
        .at_start()
        .rewrite(Rewrite::Line)
        .sets(|to, value| {
            let path = String::from_utf8_lossy(value.bytes()).into_owned();
            to.user_file = (!path.is_empty()).then(|| path.into());
        }),
    number("acllog-max-len", 0, LONG, "128", "Entries of ACL LOG.")
        .sets(|to, value| to.access_log_entries_max = value.number()),
    choice(
        "acl-pubsub-default",
        &["allchannels", "resetchannels"],
        "resetchannels",
        "Channels of a new user.",
    )
    .sets(|to, value| {
        to.channel_default =
            if value.choice() == 0 { ChannelDefault::All } else { ChannelDefault::None };
    }),
    number("tracking-table-max-keys", 0, LONG, "1000000", "Keys remembered for client caches.")
        .sets(|to, value| to.tracked_keys_max = value.number()),
    number("busy-reply-threshold", 0, LONG, "5000", "Run time after which a script is busy.")
        .unit("milliseconds")
        .alias(&["lua-time-limit"])
        .sets(|to, value| to.busy_script_millis = value.number()),
    flag("lua-enable-insecure-api", "no", "Functions scripts should not have.")
        .alias(&["lua-enable-deprecated-api"])
        .protected()
        .hidden(),
    number(
        "min-io-threads-avoid-copy-reply",
        0,
        INT,
        "7",
        "Threads from which replies are shared.",
    )
    .hidden(),
    number("min-string-size-avoid-copy-reply", 0, INT, "16384", "Length from which they are.")
        .hidden(),
    number("min-string-size-avoid-copy-reply-threaded", 0, INT, "65536", "The same with threads.")
        .hidden(),
    number("client-default-resp", 2, 3, "2", "Protocol of a new client.").at_start().hidden(),
    flag("extended-redis-compatibility", "no", "Valkey's stricter imitation of Redis."),
    flag("import-mode", "no", "Keeps expired keys and evicts none while data are imported.")
        .sets(|to, value| to.imports = value.is_yes()),
];
