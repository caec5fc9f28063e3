"""The metrics page beside redis_exporter's, under load: the same names, types, labels and values."""

import os
import re
import socket
import subprocess
import threading
import time
import unittest
import urllib.error
import urllib.request

import redis

PORT = int(os.environ["DARTER_PORT"])
METRICS = f"http://127.0.0.1:{os.environ['DARTER_METRICS_PORT']}"

# Dashboards 763 and 11835 of Grafana's use these, and alerts on logs and snapshots the last ones; the two of a replica are not on a primary's page,
# neither ours nor the exporter's.
DASHBOARD_NAMES = """
redis_up redis_uptime_in_seconds redis_connected_clients redis_blocked_clients
redis_memory_used_bytes redis_memory_max_bytes redis_memory_used_rss_bytes
redis_mem_fragmentation_ratio redis_commands_processed_total redis_commands_total
redis_commands_duration_seconds_total redis_keyspace_hits_total redis_keyspace_misses_total
redis_net_input_bytes_total redis_net_output_bytes_total redis_expired_keys_total
redis_evicted_keys_total redis_db_keys redis_db_keys_expiring redis_db_avg_ttl_seconds
redis_connected_slaves redis_master_repl_offset redis_rdb_last_bgsave_status
redis_rdb_changes_since_last_save redis_rdb_last_save_timestamp_seconds redis_aof_enabled
redis_slowlog_length redis_latency_percentiles_usec redis_rejected_connections_total
redis_instance_info redis_start_time_seconds redis_aof_current_size_bytes
redis_aof_base_size_bytes redis_aof_buffer_length redis_aof_pending_bio_fsync
redis_aof_delayed_fsync redis_aof_last_write_status redis_rdb_bgsave_in_progress
redis_rdb_last_bgsave_duration_sec redis_aof_last_bgrewrite_status
""".split()

# About the exporter, not about the server; and what it takes Valkey's keys_with_volatile_items for.
EXPORTERS_OWN = re.compile(r"redis_(exporter_|target_|last_key_groups_|db_keys_cached$)")

SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def page(url):
    """Types by name, and values by name and labels."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    types, samples = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name not in types, f"{name} is on the page twice"
            types[name] = kind
        elif line and not line.startswith("#"):
            name, labels, value = SAMPLE.match(line).groups()
            key = (name, tuple(sorted(LABEL.findall(labels or ""))))
            assert key not in samples, f"{key} is on the page twice"
            samples[key] = float(value)
    return types, samples


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with redis.Redis(port=PORT) as client:
            client.config_set("appendonly", "yes")
        port = free_port()
        cls.exporter_url = f"http://127.0.0.1:{port}/metrics"
        cls.exporter = subprocess.Popen(
            [
                "prometheus-redis-exporter",
                f"-redis.addr=redis://127.0.0.1:{PORT}",
                f"-web.listen-address=127.0.0.1:{port}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                page(cls.exporter_url)
                break
            except (urllib.error.URLError, ConnectionError):
                assert time.monotonic() < deadline, "the exporter does not answer"

    @classmethod
    def tearDownClass(cls):
        with redis.Redis(port=PORT) as client:
            client.config_set("appendonly", "no")
        cls.exporter.terminate()
        _, log = cls.exporter.communicate(timeout=10)
        complaints = [line for line in log.splitlines() if re.search("level=(error|warn|fatal)", line)]
        assert not complaints, complaints

    def setUp(self):
        self.client = redis.Redis(port=PORT)
        self.client.flushall()
        self.client.config_set("slowlog-log-slower-than", 0)
        self.stops = threading.Event()
        self.load = [threading.Thread(target=self.run_load, args=(number,)) for number in range(2)]
        for thread in self.load:
            thread.start()

    def tearDown(self):
        self.stop_load()
        self.client.config_set("slowlog-log-slower-than", 10_000)
        self.client.close()

    def run_load(self, number):
        client = redis.Redis(port=PORT, db=number)
        round_ = 0
        while not self.stops.is_set():
            round_ += 1
            with client.pipeline(transaction=False) as pipeline:
                for step in range(50):
                    key = f"{number}:{step}:{round_ % 20}"
                    pipeline.set(key, "x" * step, px=100_000 if step % 2 else 20)
                    pipeline.get(key).get("nothing").incr("text" if step == 7 else "counter")
                pipeline.set("text", "x")
                pipeline.execute(raise_on_error=False)
        client.close()

    def stop_load(self):
        self.stops.set()
        for thread in self.load:
            thread.join()

    def test_every_name_of_the_dashboards_is_there_while_the_server_works(self):
        deadline = time.monotonic() + 20
        missing = DASHBOARD_NAMES
        while missing and time.monotonic() < deadline:
            _, samples = page(f"{METRICS}/metrics")
            names = {name for name, _ in samples}
            missing = [name for name in DASHBOARD_NAMES if name not in names]
        self.assertEqual(missing, [])
        for name in ("commands_processed_total", "keyspace_hits_total", "net_input_bytes_total"):
            self.assertGreater(samples[f"redis_{name}", ()], 0)

    def test_counters_stand_between_two_looks_under_load(self):
        types, before = page(f"{METRICS}/metrics")
        _, exporters = page(self.exporter_url)
        counters = [key for key in exporters if types.get(key[0]) == "counter" and key in before]
        self.assertGreater(len(counters), 20)
        # A shard's counters are published a little later than they are counted.
        deadline = time.monotonic() + 20
        behind = counters
        while behind and time.monotonic() < deadline:
            _, after = page(f"{METRICS}/metrics")
            behind = [key for key in counters if exporters[key] > after[key] + 1e-6]
        self.assertEqual(behind, [])
        self.assertEqual([key for key in counters if before[key] > exporters[key] + 1e-6], [])

    def test_log_and_snapshots_are_told_of_as_in_info(self):
        self.persisted("aof_rewrite_in_progress")
        before = self.client.info("persistence")
        self.client.bgsave()
        self.persisted("rdb_bgsave_in_progress")
        self.client.bgrewriteaof()
        self.persisted("aof_rewrite_in_progress")
        self.assertEqual(self.client.waitaof(1, 0, 10_000)[0], 1)
        self.stop_load()
        self.assertEqual(self.client.waitaof(1, 0, 10_000)[0], 1)
        deadline = time.monotonic() + 20
        while True:
            _, samples = page(f"{METRICS}/metrics")
            info = self.client.info("persistence")
            shown = {name: samples.get((name, ())) for name in self.PERSISTENCE}
            told = {name: info[field] for name, field in self.PERSISTENCE.items()}
            if shown == told or time.monotonic() > deadline:
                break
        self.assertEqual(shown, told)
        self.assertEqual(info["rdb_saves"], before["rdb_saves"] + 1)
        self.assertEqual(info["aof_rewrites"], before["aof_rewrites"] + 1)
        self.assertGreater(info["aof_current_size"], info["aof_base_size"])
        self.assertGreater(info["aof_syncs"], before["aof_syncs"])
        self.assertGreaterEqual(info["aof_sync_usec_max"], info["aof_sync_usec_avg"])
        self.assertLess(abs(time.time() - info["aof_last_sync_time"]), 60)
        name = "darter_log_sync_duration_seconds"
        self.assertEqual(samples[f"{name}_count", ()], samples[f"{name}_bucket", (("le", "+Inf"),)])
        self.assertGreater(samples[f"{name}_sum", ()], 0)

    # Metrics, and the fields of INFO they are.
    PERSISTENCE = {
        "redis_rdb_saves_total": "rdb_saves",
        "redis_rdb_last_save_timestamp_seconds": "rdb_last_save_time",
        "redis_rdb_last_bgsave_duration_sec": "rdb_last_bgsave_time_sec",
        "redis_rdb_changes_since_last_save": "rdb_changes_since_last_save",
        "redis_aof_enabled": "aof_enabled",
        "redis_aof_current_size_bytes": "aof_current_size",
        "redis_aof_base_size_bytes": "aof_base_size",
        "redis_aof_buffer_length": "aof_buffer_length",
        "redis_aof_last_rewrite_duration_sec": "aof_last_rewrite_time_sec",
        "darter_log_sync_duration_seconds_count": "aof_syncs",
        "darter_log_last_sync_timestamp_seconds": "aof_last_sync_time",
        "darter_log_unsynced_bytes": "aof_unsynced_bytes",
        "darter_log_rewrites_total": "aof_rewrites",
    }

    def persisted(self, field):
        """Waits until what a field of INFO tells of is not under way."""
        deadline = time.monotonic() + 60
        while self.client.info("persistence")[field]:
            self.assertLess(time.monotonic(), deadline, field)

    def test_both_pages_tell_the_same_of_a_server_at_rest(self):
        self.stop_load()
        # What expires expires, and what is counted is published.
        deadline = time.monotonic() + 20
        while True:
            exporter_types, exporters = page(self.exporter_url)
            types, ours = page(f"{METRICS}/metrics")
            differences = self.differences(exporters, ours)
            if not differences or time.monotonic() > deadline:
                break
        self.assertEqual(differences, [])
        for name, kind in exporter_types.items():
            if name in types:
                self.assertEqual(types[name], kind, name)
        missing = {
            name
            for name, _ in exporters
            if name.startswith("redis_") and not EXPORTERS_OWN.match(name)
        } - {name for name, _ in ours}
        self.assertEqual(missing, set())

    # Move between two looks at a server nobody uses: by time, by the looks themselves.
    MOVING = re.compile(
        r"redis_(uptime_in_seconds|start_time_seconds|cpu_.*|memory_.*|mem_.*|allocator_.*"
        r"|commands_.*|connections_received_total|connected_clients|net_.*|total_.*"
        r"|latency_.*|slowlog_last_id|last_slow_execution_duration_seconds|db_avg_ttl_seconds"
        r"|client_recent_.*|expired_time_cap_.*)"
    )

    def differences(self, exporters, ours):
        found = []
        for (name, labels), value in exporters.items():
            if not name.startswith("redis_") or EXPORTERS_OWN.match(name):
                continue
            own = ours.get((name, labels))
            if own is None:
                if name in {known for known, _ in ours}:
                    # The exporter's own commands, and labels only newer exporters have.
                    if name != "redis_instance_info" and not self.MOVING.match(name):
                        found.append((name, labels, value, None))
            elif not self.MOVING.match(name):
                if own != value:
                    found.append((name, labels, value, own))
            elif name in ("redis_memory_used_bytes", "redis_memory_used_rss_bytes"):
                if abs(own - value) > 0.2 * value:
                    found.append((name, labels, value, own))
            elif name == "redis_start_time_seconds" and abs(own - value) > 1:
                found.append((name, labels, value, own))
        return found

    def test_probes(self):
        for path in ("/healthz", "/readyz"):
            with urllib.request.urlopen(METRICS + path, timeout=10) as answer:
                self.assertEqual((answer.status, answer.read()), (200, b"ok\n"))
        with self.assertRaises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(METRICS + "/nothing", timeout=10)
        self.assertEqual(refused.exception.code, 404)
        refused.exception.close()


if __name__ == "__main__":
    unittest.main()
