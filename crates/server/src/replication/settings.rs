//! What is set about replication.

/// Replication, as a primary has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicationSettings {
    /// Bytes of the stream that are kept for replicas that come back (`repl-backlog-size`).
    pub backlog_bytes: u64,
    /// How long they are kept when there is no replica, in seconds; 0: for ever (`repl-backlog-ttl`).
    pub backlog_seconds: u64,
    /// After how many seconds of silence a link is taken for dead (`repl-timeout`).
    pub timeout_seconds: u64,
    /// How often replicas are pinged, in seconds (`repl-ping-replica-period`).
    pub ping_seconds: u64,
    /// Whether all data are sent as they are written, without a file (`repl-diskless-sync`).
    pub is_diskless: bool,
    /// How many seconds that waits for more replicas (`repl-diskless-sync-delay`).
    pub delay_seconds: u64,
    /// How many replicas end the wait; 0: none do (`repl-diskless-sync-max-replicas`).
    pub delayed_replicas_max: u64,
    /// Replicas without which writes are refused (`min-replicas-to-write`).
    pub replicas_min: u64,
    /// Seconds since a replica was heard of up to which it counts (`min-replicas-max-lag`).
    pub lag_seconds_max: u64,
}

/// Less than this is not kept, as in Redis.
const BACKLOG_BYTES_MIN: u64 = 16 << 10;

impl ReplicationSettings {
    /// Bytes of the stream that are kept.
    pub fn kept_bytes(&self) -> u64 {
        self.backlog_bytes.max(BACKLOG_BYTES_MIN)
    }
}
