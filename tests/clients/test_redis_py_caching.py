"""redis-py's client-side caching: RESP3, CLIENT TRACKING, invalidation as a push."""

import os
import time
import unittest

import redis
from redis.cache import CacheConfig

PORT = int(os.environ["DARTER_PORT"])
PATIENCE = 60


def until(holds):
    """Returns when `holds` does."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError


class Caching(unittest.TestCase):
    def setUp(self):
        self.other = redis.Redis(port=PORT, decode_responses=True)
        self.other.flushall()
        self.client = redis.Redis(
            port=PORT, protocol=3, decode_responses=True, cache_config=CacheConfig(max_size=1000)
        )
        self.cache = self.client.get_cache()

    def tearDown(self):
        self.client.close()
        self.other.close()

    def reads(self):
        """How many GETs the server has seen."""
        return self.other.info("commandstats").get("cmdstat_get", {"calls": 0})["calls"]

    def test_what_was_read_is_not_asked_for_again(self):
        self.other.set("a", "1")
        self.assertEqual(self.client.get("a"), "1")
        before = self.reads()
        for _ in range(100):
            self.assertEqual(self.client.get("a"), "1")
        self.assertEqual(self.reads(), before)
        self.assertEqual(self.cache.size, 1)

    def seen_by(self, change, read=None):
        """After `change` of key a by another client, what is read is what is there."""
        read = read or (lambda client: client.get("a"))
        read(self.client)
        read(self.client)
        change(self.other)
        # A reader of another worker may hear of it a moment later; the key may expire meanwhile.
        until(lambda: read(self.client) == read(self.other))

    def test_every_way_of_changing_a_key(self):
        for change in (
            lambda other: other.set("a", "2"),
            lambda other: other.append("a", "3"),
            lambda other: other.delete("a"),
            lambda other: other.mset({"a": "4", "b": "5"}),
            lambda other: other.rename("b", "a"),
            lambda other: other.eval("return redis.call('SET', 'a', 'scripted')", 0),
            lambda other: other.pipeline().set("z", 1).set("a", "in a transaction").execute(),
            lambda other: other.copy("z", "a", replace=True),
            lambda other: other.set("a", "short", px=5),
            lambda other: other.getex("a", px=1),
            lambda other: other.setrange("a", 3, "x"),
            lambda other: other.flushdb(),
            lambda other: other.set("a", "6"),
            lambda other: other.flushall(),
            lambda other: other.restore("a", 0, self.dumped()),
            lambda other: other.unlink("a"),
        ):
            self.seen_by(change)

    def dumped(self):
        raw = redis.Redis(port=PORT)
        raw.set("dumped", "7")
        try:
            return raw.dump("dumped")
        finally:
            raw.close()

    def test_collections(self):
        for name, change, read in (
            ("hash", lambda o: o.hset("h", "f", "1"), lambda c: c.hgetall("h")),
            ("hash field", lambda o: o.hincrby("h", "f", 5), lambda c: c.hget("h", "f")),
            ("list", lambda o: o.rpush("l", "x", "y"), lambda c: c.lrange("l", 0, -1)),
            ("pop", lambda o: o.lpop("l"), lambda c: c.llen("l")),
            ("set", lambda o: o.sadd("s", "x"), lambda c: c.smembers("s")),
            ("sorted set", lambda o: o.zadd("z", {"x": 1.5}), lambda c: c.zrange("z", 0, -1)),
            ("score", lambda o: o.zincrby("z", 2, "x"), lambda c: c.zscore("z", "x")),
            ("several", lambda o: o.set("m1", "x"), lambda c: c.mget("m1", "m2", "m3")),
            ("type", lambda o: o.delete("h"), lambda c: c.type("h")),
        ):
            with self.subTest(name):
                self.seen_by(change, read)

    def test_a_key_that_expires_without_being_asked_for(self):
        self.other.set("a", "1", px=400)
        self.assertEqual(self.client.get("a"), "1")
        until(lambda: self.client.get("a") is None)
        self.assertEqual(self.other.exists("a"), 0)

    def test_own_changes(self):
        self.client.set("a", "1")
        self.assertEqual(self.client.get("a"), "1")
        self.client.set("a", "2")
        self.assertEqual(self.client.get("a"), "2")

    def test_many_keys_and_a_small_table(self):
        self.other.config_set("tracking-table-max-keys", 50)
        try:
            for number in range(500):
                self.other.set(f"k{number}", number)
                self.client.get(f"k{number}")
            for number in range(500):
                self.other.incr(f"k{number}", 1000)
            for number in range(500):
                until(lambda: self.client.get(f"k{number}") == str(number + 1000))
        finally:
            self.other.config_set("tracking-table-max-keys", 1_000_000)

    def test_a_pool_of_connections_shares_the_cache(self):
        pool = self.client.connection_pool
        connections = [pool.get_connection() for _ in range(4)]
        for connection in connections:
            pool.release(connection)
        for number in range(50):
            self.seen_by(lambda other, number=number: other.set("a", number))


if __name__ == "__main__":
    unittest.main()
