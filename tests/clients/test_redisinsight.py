"""What RedisInsight asks when it opens a database and its browser."""

import os
import unittest

import redis

PORT = int(os.environ["DARTER_PORT"])


class RedisInsight(unittest.TestCase):
    def setUp(self):
        self.client = redis.Redis(port=PORT, protocol=2, decode_responses=True)
        self.client.flushall()
        self.client.set("some:key", "value", ex=1000)

    def tearDown(self):
        self.client.close()

    def ask(self, *words):
        return self.client.execute_command(*words)

    def test_opening_a_database(self):
        self.assertTrue(self.ask("CLIENT", "SETNAME", "redisinsight-common-0"))
        info = self.client.info()
        for field in (
            "redis_version",
            "redis_mode",
            "os",
            "uptime_in_seconds",
            "connected_clients",
            "used_memory",
            "total_commands_processed",
            "instantaneous_ops_per_sec",
            "instantaneous_input_kbps",
            "instantaneous_output_kbps",
            "keyspace_hits",
            "role",
        ):
            self.assertIn(field, info)
        self.assertEqual(self.ask("MODULE", "LIST"), [])
        self.assertGreater(len(self.ask("COMMAND")), 50)
        self.assertEqual(self.client.config_get("databases"), {"databases": "16"})
        self.assertEqual(self.ask("ACL", "WHOAMI"), "default")
        self.assertEqual(self.ask("DBSIZE"), 1)

    def test_a_server_without_cluster_says_so(self):
        try:
            self.assertIn("cluster_enabled:0", str(self.ask("CLUSTER", "INFO")))
        except redis.ResponseError as error:
            self.assertRegex(str(error), "cluster support disabled|unknown command")

    def test_browsing(self):
        cursor, keys = self.ask("SCAN", "0", "MATCH", "*", "COUNT", "10000", "TYPE", "string")
        self.assertEqual((int(cursor), keys), (0, ["some:key"]))
        self.assertEqual(self.ask("TYPE", "some:key"), "string")
        self.assertGreater(self.ask("TTL", "some:key"), 900)
        self.assertGreater(self.ask("MEMORY", "USAGE", "some:key", "SAMPLES", "0"), 0)
        self.assertEqual(self.ask("OBJECT", "ENCODING", "some:key"), "embstr")
        self.assertEqual(self.ask("STRLEN", "some:key"), 5)
        self.assertEqual(self.ask("GETRANGE", "some:key", "0", "4999"), "value")

    def test_its_profiler(self):
        with self.client.monitor() as monitor:
            self.client.set("profiled", "a value")
            for seen in monitor.listen():
                if "profiled" in seen["command"]:
                    break
        self.assertEqual((seen["command"], seen["db"]), ("SET profiled a value", 0))

    def test_its_analysis_of_memory(self):
        with self.client.pipeline(transaction=False) as pipeline:
            for name, *words in (
                ("a:hash", "HSET", "f", "v"),
                ("a:list", "RPUSH", "x"),
                ("a:set", "SADD", "x"),
                ("a:zset", "ZADD", "1", "x"),
                ("a:stream", "XADD", "*", "f", "v"),
            ):
                pipeline.execute_command(words[0], name, *words[1:])
            pipeline.execute()
        _, names = self.ask("SCAN", "0", "MATCH", "a:*", "COUNT", "10000")
        self.assertEqual(len(names), 5)
        for name in names:
            kind = self.ask("TYPE", name)
            self.assertEqual(kind, name.split(":")[1])
            self.assertGreater(self.ask("MEMORY", "USAGE", name), 0)
            self.assertTrue(self.ask("OBJECT", "ENCODING", name))
            size = {"hash": "HLEN", "list": "LLEN", "set": "SCARD", "zset": "ZCARD", "stream": "XLEN"}
            self.assertEqual(self.ask(size[kind], name), 1)
        self.assertIn("total.allocated", self.ask("MEMORY", "STATS"))

    def test_its_command_line_and_pub_sub_pages(self):
        documented = self.ask("COMMAND DOCS", "get")
        self.assertIn("get", documented)
        subscriber = self.client.pubsub()
        subscriber.psubscribe("*")
        self.assertEqual(subscriber.get_message(timeout=10)["type"], "psubscribe")
        self.assertEqual(self.client.publish("news", "hello"), 1)
        self.assertEqual(subscriber.get_message(timeout=10)["data"], "hello")
        subscriber.close()

    def test_its_slow_log_page(self):
        # What other tests did slowly need not be text.
        self.ask("SLOWLOG", "RESET")
        self.assertIsInstance(self.ask("SLOWLOG", "GET", "50"), list)
        self.assertIn("slowlog-log-slower-than", self.client.config_get("slowlog*"))


if __name__ == "__main__":
    unittest.main()
