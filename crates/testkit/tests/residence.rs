//! What is resident stays near `maxmemory` while the sizes of values shift, as a server is by default.
//!
//! `bench/churn` measures the same for longer, beside redis-server.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use darter_testkit::mode::{ServerMode, darter_binary};
use darter_testkit::{Client, Server};
use std::io::Write as _;

const LIMIT_BYTES: usize = 200 << 20;
/// The most that may be resident.
const BOUND_BYTES: usize = LIMIT_BYTES + LIMIT_BYTES / 10 + (32 << 20);

/// Sizes of the values of a phase, from and to.
const BANDS: [(usize, usize); 6] =
    [(16, 32), (64, 128), (256, 768), (1024, 3072), (4096, 12_288), (16_384, 65_536)];

/// Each writes 0.3 to 0.9 of the limit.
const PHASES: usize = 16;

/// What a key takes beside its value, about.
const KEY_BYTES: usize = 60;

const CONNECTIONS: usize = 4;
const BATCH_BYTES: usize = 128 << 10;
const BATCH_COMMANDS_MAX: usize = 1000;

/// What is written, phase after phase.
struct Writer {
    clients: Vec<Client>,
    random: fastrand::Rng,
    key: usize,
    value: Vec<u8>,
}

impl Writer {
    /// Sends each connection a batch of new keys with values of such sizes, one after the other; how many bytes they take.
    fn write(&mut self, (low, high): (usize, usize)) -> usize {
        let commands = (2 * BATCH_BYTES / (low + high)).clamp(1, BATCH_COMMANDS_MAX);
        let mut written = 0;
        let mut batch = Vec::new();
        for client in &mut self.clients {
            batch.clear();
            for _ in 0..commands {
                let bytes = self.random.usize(low..=high);
                write!(batch, "*3\r\n$3\r\nSET\r\n$16\r\nkey:{:012}\r\n${bytes}\r\n", self.key)
                    .unwrap();
                batch.extend_from_slice(&self.value[..bytes]);
                batch.extend_from_slice(b"\r\n");
                self.key += 1;
                written += bytes + KEY_BYTES;
            }
            client.send_bytes(&batch).unwrap();
            let replies = client.read_bytes(b"+OK\r\n".len() * commands).unwrap();
            assert_eq!(replies, b"+OK\r\n".repeat(commands), "values of {low} to {high} bytes");
        }
        written
    }
}

/// The most that is resident.
fn shift_sizes(server: &Server) -> usize {
    let clients = (0..CONNECTIONS).map(|_| server.connect().unwrap()).collect();
    let value = b"0123456789abcdef".repeat(BANDS[5].1 / 16);
    let mut writer = Writer { clients, random: fastrand::Rng::with_seed(1), key: 0, value };
    let mut most = 0;
    let mut band = 0;
    for _ in 0..PHASES {
        let mut volume = LIMIT_BYTES * (30 + writer.random.usize(..60)) / 100;
        while volume > 0 {
            volume = volume.saturating_sub(writer.write(BANDS[band]));
            most = most.max(usize::try_from(server.resident_bytes().unwrap()).unwrap());
        }
        band = (band + 1 + writer.random.usize(..BANDS.len() - 1)) % BANDS.len();
    }
    most
}

#[test]
fn what_is_resident_stays_near_the_limit_while_sizes_shift() {
    let program = darter_binary().unwrap_or_else(|error| panic!("{error}"));
    for workers in [1, 2] {
        let mode = ServerMode { workers, shards: 8 * workers, reactor: "epoll", routing: "auto" };
        let words = ["--maxmemory", &LIMIT_BYTES.to_string(), "--maxmemory-policy", "allkeys-lru"];
        let spec = mode.spec(&program).with_arguments(&words.map(str::to_owned));
        let name = &spec.name;
        let server = Server::start(&spec).unwrap_or_else(|error| panic!("{error}"));
        let most = shift_sizes(&server);
        assert!(most >= LIMIT_BYTES, "{name}: the limit was not reached: {most}");
        assert!(most <= BOUND_BYTES, "{name}: {most} of {BOUND_BYTES} bytes resident");
    }
}
