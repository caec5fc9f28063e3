//! Where the server listens, and its sockets.

use crate::config::parameter::{INT, Parameter, Rewrite, flag, number, of_kind, text, words};
use crate::config::special;
use crate::config::value::Kind;

pub(super) static PARAMETERS: &[Parameter] = &[
    words("bind", special::bind, "* -::*", "Addresses to listen on; one after a - may be missing.")
        .rewrite(Rewrite::UnlessDefault)
        .sets(|to, value| {
            let text = String::from_utf8_lossy(value.bytes()).into_owned();
            to.bind = text.split_ascii_whitespace().map(str::to_owned).collect();
        }),
    number("port", 0, 65_535, "6379", "TCP port; 0: do not listen on TCP.")
        .sets(|to, value| to.port = value.number()),
    text("unixsocket", "", "Path of a unix socket to listen on.").at_start().sets(|to, value| {
        let path = String::from_utf8_lossy(value.bytes()).into_owned();
        to.unix_socket = (!path.is_empty()).then(|| path.into());
    }),
    of_kind(
        "unixsocketperm",
        Kind::Octal { max: 0o777 },
        "0",
        "Mode of the unix socket; 0: umask.",
    )
    .at_start()
    .sets(|to, value| {
        let mode: u32 = value.number();
        to.unix_socket_mode = (mode != 0).then_some(mode);
    }),
    text("unixsocketgroup", "", "Group of the unix socket.").fixed().sets(|to, value| {
        to.unix_socket_group = String::from_utf8_lossy(value.bytes()).into_owned();
    }),
    number("tcp-backlog", 0, INT, "511", "Length of the kernel's queue of new connections.")
        .at_start()
        .sets(|to, value| to.tcp_backlog = value.number()),
    number("tcp-keepalive", 0, INT, "300", "Silence before TCP probes the peer; 0: never.")
        .unit("seconds")
        .sets(|to, value| to.tcp_keepalive_seconds = value.number()),
    number("timeout", 0, INT, "0", "Silence after which a client is disconnected; 0: never.")
        .unit("seconds")
        .sets(|to, value| to.idle_timeout_seconds = value.number()),
    flag("protected-mode", "yes", "Without a password, serve only clients on this machine.")
        .sets(|to, value| to.protected_mode = value.is_yes()),
    flag("mptcp", "no", "Listen with Multipath TCP.").fixed(),
    text("bind-source-addr", "", "Address that outgoing connections come from."),
    number("socket-mark-id", 0, u32::MAX as i128, "0", "Mark of the listening sockets.").at_start(),
    number("max-new-connections-per-cycle", 1, 1000, "10", "Connections accepted in one go."),
    number(
        "max-new-tls-connections-per-cycle",
        1,
        1000,
        "1",
        "TLS connections accepted in one go.",
    ),
    words("rdma-bind", special::as_given, "", "Addresses to listen on with RDMA.")
        .rewrite(Rewrite::UnlessDefault)
        .refused("RDMA is not supported"),
    number("rdma-port", 0, 65_535, "0", "RDMA port.").refused("RDMA is not supported"),
    number("rdma-rx-size", 65_536, 16_777_216, "1048576", "RDMA receive buffer.")
        .unit("bytes")
        .fixed(),
    number("rdma-completion-vector", -1, 1024, "-1", "RDMA completion vector.").fixed(),
];
