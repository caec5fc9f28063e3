"""Tests of the harness itself: `python3 -m unittest discover -s bench`. No server is needed."""

import json
import os
import random
import socket
import sys
import tempfile
import threading
import unittest
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from xml.etree import ElementTree

from harness.cases import CASES, key, member
from harness.clients import ClientError, Memtier, parse_memtier, parse_redis_benchmark
from harness.data_types import MEMBER_COUNT, Collections
from harness.exchanges import VALUE, all_exchanges, dataset
from harness.figures import Sample, Spread, sum_up
from harness.plot import Group, Panel, grouped_bars, round_up
from harness.replicas import Replicas, field
from harness.report import join_number_lists, table
from harness.resp import Connection, ServerError, encode
from harness.scenarios import COMMANDS_PER_BATCH, KEY_COUNT, Dataset, all_scenarios
from harness.servers import Server, ServerSpec, darter_specs, peer_spec
from harness.traces import ORACLE, SIZE_MAX, read_trace
from harness.workloads import WORKLOADS

PONG_SERVER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    while data := connection.recv(4096):
        if b"SHUTDOWN" in data:
            sys.exit(0)
        connection.sendall(b"+PONG\\r\\n")
"""

# A primary at 3, and with --replicaof a replica that is one further with each look at it.
REPLICATING_SERVER = """#!{python}
import socket, sys
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
listener = socket.create_server(("127.0.0.1", int(options["--port"])))
looks = 0
while True:
    connection, _ = listener.accept()
    while data := connection.recv(4096):
        if b"SHUTDOWN" in data:
            sys.exit(0)
        if b"INFO" not in data:
            connection.sendall(b"+PONG\\r\\n")
            continue
        info = "role:master\\r\\nmaster_repl_offset:3\\r\\n"
        if "--replicaof" in options:
            looks += 1
            status = "up" if looks > 1 else "down"
            info = f"master_link_status:{{status}}\\r\\nslave_repl_offset:{{looks}}\\r\\n"
        connection.sendall(f"${{len(info)}}\\r\\n{{info}}\\r\\n".encode())
"""

REDIS_BENCHMARK_OUTPUT = """====== GET ======
  50000 requests completed in 0.05 seconds
  50 parallel clients

Latency by percentile distribution:
0.000% <= 0.271 milliseconds (cumulative count 16)
50.000% <= 0.719 milliseconds (cumulative count 25072)
99.805% <= 1.527 milliseconds (cumulative count 49904)
99.902% <= 1.583 milliseconds (cumulative count 49952)
100.000% <= 1.639 milliseconds (cumulative count 50000)

Cumulative distribution of latencies:
99.936% <= 1.607 milliseconds (cumulative count 49968)

Summary:
  throughput summary: 943396.25 requests per second
  latency summary (msec):
          avg       min       p50       p95       p99       max
        0.761     0.264     0.719     1.223     1.383     1.639
"""


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


def pong_spec() -> ServerSpec:
    return ServerSpec("pong", "1", (sys.executable, "-c", PONG_SERVER, "{port}"))


def exists(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def memtier_json(misses: float = 0.0, errors: int = 0) -> str:
    totals = {
        "Count": 60000,
        "Ops/sec": 1000.5,
        "Connection Errors": errors,
        "Percentile Latencies": {"p50.00": 0.4, "p99.00": 0.7, "p99.90": 1.4},
    }
    gets = {"Ops/sec": 900.0, "Misses/sec": misses}
    runtime = {"Interrupted": "false"}
    return json.dumps({"ALL STATS": {"Totals": totals, "Gets": gets, "Runtime": runtime}})


class Servers(unittest.TestCase):
    def test_a_server_runs_inside_its_context_and_not_after(self) -> None:
        with Server(pong_spec(), free_port()) as server:
            pid = server.pid
            self.assertTrue(exists(pid))
            self.assertGreater(server.cpu_seconds(), 0)
            self.assertGreater(server.rss_bytes(), 1 << 20)
        self.assertFalse(exists(pid))

    def test_cpu_clock_agrees_with_the_ticks_in_proc(self) -> None:
        with Server(pong_spec(), free_port()) as server:
            with server.connect() as connection:
                for _ in range(2000):
                    connection.call(b"PING")
            with open(f"/proc/{server.pid}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
            ticks = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            self.assertAlmostEqual(server.cpu_seconds(), ticks, delta=0.05)

    def test_a_server_ends_when_the_measurement_fails(self) -> None:
        with self.assertRaises(KeyboardInterrupt):
            with Server(pong_spec(), free_port()) as server:
                pid = server.pid
                raise KeyboardInterrupt
        self.assertFalse(exists(pid))

    def test_a_server_that_does_not_start_is_an_error_with_its_log(self) -> None:
        spec = ServerSpec("dud", "1", (sys.executable, "-c", "print('no such option'); exit(3)"))
        with self.assertRaisesRegex(ServerError, "dud exited 3: no such option"):
            Server(spec, free_port()).__enter__()

    def test_a_taken_port_is_refused(self) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            port = int(listener.getsockname()[1])
            with self.assertRaisesRegex(ServerError, "taken"):
                Server(pong_spec(), port).__enter__()

    def test_peers_get_redis_options_unless_they_bring_their_own(self) -> None:
        plain = peer_spec(f"x={sys.executable}")
        self.assertIn("--appendonly", plain.command)
        own = peer_spec(f"x={sys.executable} -p {{port}}")
        self.assertEqual(own.command[1:], ("-p", "{port}"))
        self.assertRegex(own.version, r"^\d+\.\d+")
        self.assertRegex(own.published_command(), r"^[^/ ]+ -p PORT$")
        with self.assertRaises(ValueError):
            peer_spec("no-separator")


    def test_routings_are_told_apart_where_there_is_somebody_to_route_to(self) -> None:
        specs = darter_specs(Path(sys.executable), [1, 2], ["epoll"], ["auto", "queue"])
        names = [spec.name for spec in specs]
        self.assertEqual(names, ["darter-w1-epoll", "darter-w2-epoll", "darter-w2-epoll-queue"])


class ReplicasOfServers(unittest.TestCase):
    def test_a_slice_is_over_when_the_replica_has_everything(self) -> None:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            program = os.path.join(folder, "replicating-server")
            Path(program).write_text(REPLICATING_SERVER.format(python=sys.executable))
            os.chmod(program, 0o700)
            spec = ServerSpec("primary", "1", (program, "--port", "{port}"))
            server = stack.enter_context(Server(spec, free_port()))
            replicas = Replicas(stack, [server], program, free_port())
            with self.assertRaisesRegex(ServerError, "behind"):
                replicas.catch_up(server, seconds_max=0.0)

    def test_a_link_that_is_down_is_not_caught_up(self) -> None:
        info = b"master_link_status:down\r\nslave_repl_offset:3\r\n"
        self.assertEqual(field(info, b"slave_repl_offset"), b"3")
        self.assertEqual(field(info, b"repl_offset"), b"")


class Resp(unittest.TestCase):
    def serve(self, replies: list[bytes], use: Callable[[Connection], None]) -> None:
        """Call `use` with a connection whose peer sends `replies` one after the other."""
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:

            def answer() -> None:
                peer, _ = listener.accept()
                with peer:
                    peer.recv(1 << 16)
                    for reply in replies:
                        peer.sendall(reply)

            thread = threading.Thread(target=answer)
            thread.start()
            with Connection(int(listener.getsockname()[1]), timeout_seconds=10) as connection:
                use(connection)
            thread.join()

    def test_encode(self) -> None:
        self.assertEqual(encode(b"GET", b"k"), b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n")

    def test_bulk_reply_in_pieces(self) -> None:
        def use(connection: Connection) -> None:
            self.assertEqual(connection.call(b"INFO"), b"a\r\nb")

        self.serve([b"$4\r", b"\na\r\n", b"b\r\n"], use)

    def test_batch_waits_for_every_reply_line(self) -> None:
        self.serve([b"+OK\r\n+OK\r", b"\n:1\r\n"], lambda c: c.send_batch(b"x", 3))

    def test_batch_with_an_error_reply_raises(self) -> None:
        def use(connection: Connection) -> None:
            with self.assertRaisesRegex(ServerError, "OOM no memory$"):
                connection.send_batch(b"x", 3)

        self.serve([b"+OK\r\n-OOM no memory\r\n+OK\r\n"], use)

    def test_exchange_wants_the_very_replies(self) -> None:
        self.serve([b"+OK\r\n+", b"OK\r\n"], lambda c: c.exchange(b"x", b"+OK\r\n" * 2))

        def use(connection: Connection) -> None:
            with self.assertRaisesRegex(ServerError, "unexpected replies: -ERR"):
                connection.exchange(b"x", b"+OK\r\n")

        self.serve([b"-ERR\r\n"], use)

    def test_stream_ids_are_no_errors(self) -> None:
        self.serve([b"$3\r\n1", b"-0\r\n"], lambda c: c.send_batch(b"x", 2))


class Clients(unittest.TestCase):
    def test_memtier_report(self) -> None:
        report = parse_memtier(memtier_json())
        self.assertEqual((report.operations, report.p50_ms, report.p999_ms), (60000, 0.4, 1.4))

    def test_memtier_misses_and_errors_are_refused(self) -> None:
        for text in (memtier_json(misses=100.0), memtier_json(errors=1)):
            with self.assertRaises(ClientError):
                parse_memtier(text)

    def test_memtier_asks_for_random_keys(self) -> None:
        arguments = Memtier("1:10", 10, 32, 1000).arguments("7000", 60000)
        self.assertIn("--randomize", arguments)
        self.assertEqual(arguments[arguments.index("-n") + 1], "1200")

    def test_redis_benchmark_report(self) -> None:
        report = parse_redis_benchmark(REDIS_BENCHMARK_OUTPUT)
        self.assertEqual(report.operations, 50000)
        self.assertEqual(report.operations_per_second, 943396.25)
        self.assertEqual((report.p50_ms, report.p99_ms, report.p999_ms), (0.719, 1.383, 1.583))

    def test_redis_benchmark_without_summary_is_refused(self) -> None:
        with self.assertRaises(ClientError):
            parse_redis_benchmark("Could not connect")


class Figures(unittest.TestCase):
    @staticmethod
    def sample(number: int, cpu_seconds: float) -> Sample:
        return Sample(number, 1_000_000, cpu_seconds, cpu_seconds / 2, 1e6, 1.0, 2.0, 3.0)

    def test_ratios_are_taken_within_a_round(self) -> None:
        # The machine was three times slower in round 2; the ratio does not see it.
        reference = [self.sample(1, 2.0), self.sample(2, 6.0), self.sample(3, 2.0)]
        measured = [self.sample(1, 1.0), self.sample(2, 3.0), self.sample(3, 1.0)]
        sums = sum_up(measured, reference)
        self.assertEqual(sums.ratio, Spread(0.5, 0.5, 0.5))
        self.assertAlmostEqual(sums.cpu_us.middle, 1.0)
        self.assertAlmostEqual(sums.kernel_share, 0.5)

    def test_no_ratio_without_a_reference(self) -> None:
        self.assertIsNone(sum_up([self.sample(1, 1.0)], []).ratio)

    def test_spread_of_one_and_of_many(self) -> None:
        self.assertEqual(Spread.of([4.0]), Spread(4.0, 4.0, 4.0))
        self.assertEqual(Spread.of([5.0, 1.0, 3.0, 2.0, 4.0]), Spread(3.0, 2.0, 4.0))


class Loads(unittest.TestCase):
    def test_scenario_names_are_unique_and_slices_divide_by_connections(self) -> None:
        scenarios = all_scenarios()
        self.assertEqual(len({scenario.name for scenario in scenarios}), len(scenarios))
        self.assertTrue(all(scenario.operations % 50 == 0 for scenario in scenarios))

    def test_dataset_holds_every_key_once(self) -> None:
        commands, reply_lines = next(Dataset((b"key:",), b"VXK", digits=12).batches())
        self.assertEqual(reply_lines, COMMANDS_PER_BATCH)
        self.assertTrue(commands.startswith(encode(b"SET", b"key:000000000000", b"VXK")))
        self.assertEqual(commands.count(b"*3\r\n"), COMMANDS_PER_BATCH)
        self.assertEqual(KEY_COUNT % COMMANDS_PER_BATCH, 0)

    def test_collections_hold_every_member_once_and_all_replies_are_counted(self) -> None:
        names = {name: 0 for name in (b"ZADD", b"HSET", b"SADD", b"RPUSH", b"XADD")}
        lines = 0
        for commands, reply_lines in Collections().batches():
            self.assertLess(len(commands), 300_000)
            lines += reply_lines
            for name in names:
                names[name] += commands.count(b"\r\n%b\r\n" % name)
        big_commands = MEMBER_COUNT // 100
        self.assertEqual(names[b"XADD"], MEMBER_COUNT)
        self.assertEqual(names[b"ZADD"], big_commands + MEMBER_COUNT)
        self.assertEqual(names[b"SADD"], 2 * big_commands + MEMBER_COUNT)
        # XADD answers two lines, XCLAIM one and two per entry, XGROUP and all others one.
        others = 5 * big_commands + 4 * MEMBER_COUNT + 1
        self.assertEqual(lines, others + 2 * MEMBER_COUNT + big_commands + 2 * MEMBER_COUNT)

    def test_exchange_names_are_unique_and_their_dataset_is_counted(self) -> None:
        names = [exchange.name for exchange in all_exchanges()]
        self.assertEqual(len(set(names)), len(names))
        for commands, reply_lines in dataset():
            self.assertEqual(commands.count(b"$%d\r\n%b\r\n" % (len(VALUE), VALUE)), reply_lines)

    def test_memory_cases_use_16_byte_names_and_cover_every_number(self) -> None:
        self.assertEqual((len(key(7)), len(member(7))), (16, 16))
        for case in CASES:
            lines = sum(reply_lines for _, reply_lines in case.batches(100, 1350))
            self.assertEqual(lines, 1250 * case.reply_lines, case.name)


class Output(unittest.TestCase):
    def test_svg_is_well_formed_and_has_a_bar_per_value(self) -> None:
        groups = [
            Group("a<b", {"one": Spread(1, 0.9, 1.1), "two": Spread(0.5, 0.4, 0.6)}),
            Group("c", {"one": Spread(12, 11, 13)}),
        ]
        svg = grouped_bars("title & more", "caption", ["one", "two"], [Panel("p", groups, 1.0)])
        rectangles = ElementTree.fromstring(svg).findall("{http://www.w3.org/2000/svg}rect")
        self.assertEqual(len(rectangles), 1 + 2 + 3)  # ground, legend, bars

    def test_axes_end_at_a_round_number_above_the_highest_value(self) -> None:
        self.assertEqual([round_up(value) for value in (0.9, 1.3, 141, 0)][:3], [1.0, 1.5, 150.0])
        self.assertGreater(round_up(0), 0)

    def test_table_aligns_numbers_to_the_right(self) -> None:
        self.assertEqual(table(["a", "bb"], [["ccc", "1"]]), "a    bb\nccc   1")

    def test_number_lists_take_one_line(self) -> None:
        text = json.dumps({"a": [1.5, 2, -3e-05], "b": ["x"]}, indent=1)
        joined = join_number_lists(text)
        self.assertIn("[ 1.5, 2, -3e-05 ]", joined)
        self.assertEqual(json.loads(joined), json.loads(text))


class TracesAndWorkloads(unittest.TestCase):
    def read(self, form: str, content: bytes, requests: int = 100) -> list[tuple[int, int]]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trace"
            path.write_bytes(content)
            return list(read_trace(path, form, requests))

    def test_blocks_of_arc_are_counted_up(self) -> None:
        self.assertEqual(self.read("arc", b"5 2 0 1\n\n9 1 0 2\n"), [(5, 512), (6, 512), (9, 512)])

    def test_lirs_has_a_block_per_line(self) -> None:
        self.assertEqual(self.read("lirs", b"3\n*\n4\n"), [(3, 512), (4, 512)])

    def test_oracle_is_binary_and_sizes_are_bounded(self) -> None:
        records = ORACLE.pack(1, 7, 100, -1) + ORACLE.pack(2, 1 << 60, 1 << 30, 5)
        self.assertEqual(self.read("oracle", records), [(7, 100), (1 << 60, SIZE_MAX)])
        self.assertEqual(self.read("oracle", records, 1), [(7, 100)])
        with self.assertRaises(ValueError):
            self.read("oracle", records[:-1])

    def test_reads_of_twitter_count(self) -> None:
        lines = b"0,a,1,30,c,get,0\n0,b,1,0,c,gets,0\n1,a,1,30,c,set,9\n1,a,1,30,c,get,0\n"
        self.assertEqual(self.read("twitter", lines), [(0, 30), (1, 1), (0, 30)])
        with self.assertRaises(ValueError):
            self.read("twitter", b"1,2\n")

    def test_workloads_are_as_long_as_asked_for_and_repeat(self) -> None:
        for workload in WORKLOADS:
            first = workload.make(random.Random(5), 100, 1000)
            self.assertEqual(len(first), 1000, workload.name)
            self.assertEqual(list(first), list(workload.make(random.Random(5), 100, 1000)))
            self.assertIn(workload.size_of(first[0]), workload.value_bytes)


if __name__ == "__main__":
    unittest.main()
