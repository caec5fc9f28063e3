"""redis-py, as its users have it: RESP3 by default, RESP2 on request, pools, pipelines."""

import os
import threading
import unittest

import redis

PORT = int(os.environ["DARTER_PORT"])


class RedisPy:
    """What holds over either protocol."""

    protocol = None

    def setUp(self):
        options = {} if self.protocol is None else {"protocol": self.protocol}
        self.client = redis.Redis(port=PORT, decode_responses=True, **options)
        self.raw = redis.Redis(port=PORT, **options)
        self.client.flushall()

    def tearDown(self):
        self.client.close()
        self.raw.close()

    def test_strings_with_their_options(self):
        self.assertTrue(self.client.set("a", "1", ex=100))
        self.assertIsNone(self.client.set("a", "2", nx=True))
        self.assertEqual(self.client.set("a", "2", get=True), "1")
        self.assertEqual(self.client.incr("a", 5), 7)
        self.assertEqual(self.client.incrbyfloat("a", 0.5), 7.5)
        self.assertEqual(self.client.mget("a", "none"), ["7.5", None])
        self.assertTrue(self.client.mset({"x": 1, "y": 2}))
        self.assertEqual(self.client.getdel("x"), "1")
        self.assertEqual(self.client.append("y", "345"), 4)
        self.assertEqual(self.client.getrange("y", 1, -2), "34")
        self.assertEqual(self.client.strlen("y"), 4)

    def test_bytes_of_every_value_survive(self):
        value = bytes(range(256)) * 100
        self.raw.set(b"\x00\r\n", value)
        self.assertEqual(self.raw.get(b"\x00\r\n"), value)

    def test_large_values(self):
        value = os.urandom(1 << 20) * 20
        self.raw.set("large", value)
        self.assertEqual(self.raw.get("large"), value)
        self.assertEqual(self.raw.getrange("large", -5, -1), value[-5:])

    def test_expiry(self):
        self.client.set("a", "1", px=60_000)
        self.assertTrue(55_000 < self.client.pttl("a") <= 60_000)
        self.assertTrue(self.client.persist("a"))
        self.assertEqual(self.client.ttl("a"), -1)
        self.assertEqual(self.client.ttl("none"), -2)
        self.assertTrue(self.client.expire("a", 100, nx=True))
        self.assertFalse(self.client.expire("a", 50, gt=True))
        self.client.set("gone", "1", px=1)
        while self.client.exists("gone"):
            pass
        self.assertIsNone(self.client.get("gone"))

    def test_keys_and_scan(self):
        names = {f"key:{number}" for number in range(500)}
        self.client.mset(dict.fromkeys(names, "x"))
        self.assertEqual(set(self.client.scan_iter("key:*", count=50)), names)
        self.assertEqual(set(self.client.scan_iter(_type="string")), names)
        self.assertEqual(set(self.client.keys("key:1?")), {f"key:1{digit}" for digit in range(10)})
        self.assertEqual(self.client.dbsize(), 500)
        self.assertIn(self.client.randomkey(), names)
        self.assertEqual(self.client.type("key:1"), "string")
        self.assertTrue(self.client.rename("key:1", "other"))
        self.assertTrue(self.client.copy("other", "copy"))
        self.assertEqual(self.client.unlink("other", "copy", "none"), 2)
        self.assertEqual(self.client.object("encoding", "key:2"), "embstr")

    def test_databases(self):
        other = redis.Redis(port=PORT, db=5, decode_responses=True)
        self.client.set("a", "here")
        other.set("a", "there")
        self.assertEqual((self.client.get("a"), other.get("a")), ("here", "there"))
        other.flushdb()
        self.assertEqual(self.client.get("a"), "here")
        other.close()

    def test_pipelines_answer_in_order_and_keep_errors_apart(self):
        with self.client.pipeline(transaction=False) as pipeline:
            for number in range(1000):
                pipeline.set(f"p{number}", number).incr(f"p{number}").get(f"p{number}")
            replies = pipeline.execute()
        self.assertEqual(replies[1::3], list(range(1, 1001)))
        self.assertEqual(replies[2::3], [str(number) for number in range(1, 1001)])
        with self.client.pipeline(transaction=False) as pipeline:
            pipeline.set("text", "x").incr("text").get("text")
            replies = pipeline.execute(raise_on_error=False)
        self.assertEqual((replies[0], replies[2]), (True, "x"))
        self.assertIsInstance(replies[1], redis.ResponseError)

    def test_errors_are_those_the_library_knows(self):
        self.client.set("text", "x")
        with self.assertRaisesRegex(redis.ResponseError, "value is not an integer or out of range"):
            self.client.incr("text")
        with self.assertRaisesRegex(redis.ResponseError, "unknown command 'NOSUCH'"):
            self.client.execute_command("NOSUCH", "x")
        with self.assertRaisesRegex(redis.ResponseError, "wrong number of arguments for 'get'"):
            self.client.execute_command("GET")

    def test_what_clients_tell_and_ask_of_themselves(self):
        self.assertTrue(self.client.client_setname("tester"))
        self.assertEqual(self.client.client_getname(), "tester")
        info = self.client.client_info()
        self.assertEqual(info["name"], "tester")
        self.assertIn("redis-py", info["lib-name"])
        self.assertEqual(int(info["resp"]), self.protocol or 3)
        listed = self.client.client_list(client_id=[self.client.client_id()])
        self.assertEqual([client["name"] for client in listed], ["tester"])

    def test_a_killed_connection_is_made_again(self):
        self.client.set("a", "1")
        admin = redis.Redis(port=PORT)
        self.assertGreaterEqual(admin.client_kill_filter(_id=self.client.client_id()), 1)
        self.assertEqual(self.client.get("a"), "1")
        admin.close()

    def test_configuration_and_information(self):
        self.assertEqual(self.client.config_get("maxmemory-policy"), {"maxmemory-policy": "noeviction"})
        before = self.client.config_get("timeout")["timeout"]
        self.assertTrue(self.client.config_set("timeout", 300))
        self.assertEqual(self.client.config_get("timeout")["timeout"], "300")
        self.client.config_set("timeout", before)
        info = self.client.info()
        self.assertEqual(info["tcp_port"], PORT)
        self.assertEqual(info["role"], "master")
        self.assertEqual(info["redis_mode"], "standalone")
        self.assertGreaterEqual(tuple(map(int, info["redis_version"].split("."))), (7, 4))
        self.assertIn("cmdstat_info", self.client.info("commandstats"))
        self.assertEqual(self.client.info("keyspace"), {})
        self.client.set("a", "1", ex=100)
        keyspace = self.client.info("keyspace")["db0"]
        self.assertEqual((keyspace["keys"], keyspace["expires"]), (1, 1))

    def test_commands_describe_themselves(self):
        commands = self.client.command()
        self.assertEqual(commands["get"]["arity"], 2)
        self.assertGreater(self.client.command_count(), 50)
        self.assertEqual(self.client.command_getkeys("MSET", "a", 1, "b", 2), ["a", "b"])
        self.assertIn("get", self.client.command_list())

    def test_many_threads_share_a_pool(self):
        pool = redis.ConnectionPool(port=PORT, max_connections=8)
        failures = []

        def work():
            try:
                client = redis.Redis(connection_pool=pool)
                for _ in range(200):
                    client.incr("counter")
            except Exception as failure:  # noqa: BLE001
                failures.append(failure)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(self.client.get("counter"), "1600")
        pool.disconnect()

    def test_time_echo_ping(self):
        self.assertTrue(self.client.ping())
        self.assertEqual(self.client.echo("hello"), "hello")
        seconds, micros = self.client.time()
        self.assertGreater(seconds, 1_700_000_000)
        self.assertLess(micros, 1_000_000)


class Default(RedisPy, unittest.TestCase):
    def test_it_speaks_resp3(self):
        hello = self.client.execute_command("HELLO")
        self.assertEqual((hello["proto"], hello["server"]), (3, "redis"))


class Resp2(RedisPy, unittest.TestCase):
    protocol = 2


class Resp3(RedisPy, unittest.TestCase):
    protocol = 3


if __name__ == "__main__":
    unittest.main()
