//! Encrypted connections.

use crate::config::parameter::{INT, Parameter, choice, flag, number, text};

pub(super) static PARAMETERS: &[Parameter] = &[
    number("tls-port", 0, 65_535, "0", "TLS port; 0: none.")
        .refused("TLS is not supported by this version"),
    text("tls-cert-file", "", "Certificate of the server."),
    text("tls-key-file", "", "Its private key."),
    text("tls-key-file-pass", "", "Password of that key.").secret(),
    text("tls-client-cert-file", "", "Certificate for outgoing connections."),
    text("tls-client-key-file", "", "Its private key."),
    text("tls-client-key-file-pass", "", "Password of that key.").secret(),
    text("tls-dh-params-file", "", "Diffie-Hellman parameters."),
    text("tls-ca-cert-file", "", "Certificates of the authorities trusted."),
    text("tls-ca-cert-dir", "", "Directory of such certificates."),
    choice("tls-auth-clients", &["no", "yes", "optional"], "yes", "Asks clients for certificates."),
    choice("tls-auth-clients-user", &["CN", "URI", "off"], "off", "Field that names the user."),
    text("tls-protocols", "", "Versions of the protocol."),
    text("tls-ciphers", "", "Ciphers up to TLS 1.2."),
    text("tls-ciphersuites", "", "Ciphers of TLS 1.3."),
    flag("tls-prefer-server-ciphers", "no", "The server chooses the cipher."),
    flag("tls-session-caching", "yes", "Remembers sessions."),
    number("tls-session-cache-size", 0, INT, "20480", "Sessions remembered."),
    number("tls-session-cache-timeout", 0, INT, "300", "For how long.").unit("seconds"),
    number("tls-auto-reload-interval", 0, INT, "0", "How often files are read again; 0: never.")
        .unit("seconds"),
    flag("tls-replication", "no", "Encrypts the link to the primary."),
    flag("tls-cluster", "no", "Encrypts the cluster bus."),
];
