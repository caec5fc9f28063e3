"""redis-py's locks, registered scripts, and pipelines of scripts, over keys of many shards."""

import os
import threading
import unittest

import redis
from redis.exceptions import LockError, LockNotOwnedError, NoScriptError, ResponseError

PORT = int(os.environ["DARTER_PORT"])


class Base(unittest.TestCase):
    def setUp(self):
        self.client = redis.Redis(port=PORT, decode_responses=True)
        self.client.flushall()
        self.client.script_flush()

    def tearDown(self):
        self.client.close()


class Locks(Base):
    def test_a_lock_is_held_by_one(self):
        lock = self.client.lock("lock", timeout=60)
        self.assertTrue(lock.acquire(blocking=False))
        other = self.client.lock("lock", timeout=60)
        self.assertFalse(other.acquire(blocking=False))
        self.assertFalse(other.acquire(blocking_timeout=0.05))
        self.assertTrue(lock.locked() and lock.owned())
        self.assertFalse(other.owned())
        lock.release()
        self.assertFalse(lock.locked())
        with other:
            self.assertTrue(other.owned())
        with self.assertRaises(LockError):
            other.release()

    def test_extending_and_reacquiring(self):
        lock = self.client.lock("lock", timeout=60)
        lock.acquire()
        lock.extend(60)
        self.assertTrue(100_000 < self.client.pttl("lock") <= 120_000)
        lock.extend(30, replace_ttl=True)
        self.assertTrue(20_000 < self.client.pttl("lock") <= 30_000)
        lock.reacquire()
        self.assertTrue(50_000 < self.client.pttl("lock") <= 60_000)
        lock.release()

    def test_a_lock_that_was_lost(self):
        lock = self.client.lock("lock", timeout=60)
        lock.acquire()
        self.client.set("lock", "another one's")
        self.assertFalse(lock.owned())
        for attempt in (lambda: lock.extend(10), lock.reacquire, lock.release):
            with self.assertRaises(LockNotOwnedError):
                attempt()
        self.assertEqual(self.client.get("lock"), "another one's")

    def test_a_lock_that_expired(self):
        lock = self.client.lock("lock", timeout=0.02)
        lock.acquire()
        # Waits until it is free.
        other = self.client.lock("lock", timeout=60, sleep=0.005)
        self.assertTrue(other.acquire(blocking_timeout=30))
        with self.assertRaises(LockNotOwnedError):
            lock.release()
        other.release()

    def test_threads_inside_one_after_the_other(self):
        inside, overlaps, count = [], [], 0

        def work():
            nonlocal count
            client = redis.Redis(port=PORT)
            for _ in range(10):
                with client.lock("lock", timeout=60, sleep=0.002):
                    if inside:
                        overlaps.append(list(inside))
                    inside.append(threading.get_ident())
                    count = int(client.get("count") or 0) + 1
                    client.set("count", count)
                    inside.pop()
            client.close()

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((overlaps, self.client.get("count")), ([], "80"))


class Scripts(Base):
    TRANSFER = """
        local from = tonumber(redis.call('GET', KEYS[1]) or '0')
        local amount = tonumber(ARGV[1])
        if from < amount then return redis.error_reply('POOR ' .. from) end
        redis.call('DECRBY', KEYS[1], amount)
        return redis.call('INCRBY', KEYS[2], amount)
    """

    def test_a_registered_script_loads_itself(self):
        transfer = self.client.register_script(self.TRANSFER)
        self.client.set("a", 10)
        self.assertEqual(transfer(keys=["a", "b"], args=[4]), 4)
        self.client.script_flush()
        self.assertEqual(self.client.script_exists(transfer.sha), [False])
        self.assertEqual(transfer(keys=["a", "b"], args=[4]), 8)
        with self.assertRaisesRegex(ResponseError, "POOR 2"):
            transfer(keys=["a", "b"], args=[4])
        self.assertEqual(self.client.mget("a", "b"), ["2", "8"])

    def test_keys_that_a_script_does_not_declare(self):
        script = self.client.register_script(
            "for number = 1, 50 do redis.call('SADD', ARGV[1] .. number, number) end "
            "return #redis.call('KEYS', ARGV[1] .. '*')"
        )
        self.assertEqual(script(args=["undeclared:"]), 50)

    def test_results_of_every_kind(self):
        script = self.client.register_script("return {1, 'two', {3, {'four'}}, false, true, 3.9}")
        self.assertEqual(script(), [1, "two", [3, ["four"]], None, 1, 3])
        self.assertEqual(self.client.eval("return redis.status_reply('FINE')", 0), "FINE")

    def test_pipelines_load_what_they_call(self):
        transfer = self.client.register_script(self.TRANSFER)
        for transaction in (True, False):
            self.client.flushall()
            self.client.script_flush()
            with self.client.pipeline(transaction=transaction) as pipeline:
                pipeline.set("a", 10)
                for target in ("b", "c", "d"):
                    transfer(keys=["a", target], args=[3], client=pipeline)
                pipeline.mget("a", "b", "c", "d")
                replies = pipeline.execute()
            self.assertEqual(replies, [True, 3, 3, 3, ["1", "3", "3", "3"]])

    def test_a_script_that_fails_in_a_transaction_leaves_the_rest(self):
        transfer = self.client.register_script(self.TRANSFER)
        with self.client.pipeline() as pipeline:
            pipeline.set("a", 1)
            transfer(keys=["a", "b"], args=[5], client=pipeline)
            pipeline.incr("a")
            replies = pipeline.execute(raise_on_error=False)
        self.assertEqual([replies[0], replies[2]], [True, 2])
        self.assertIsInstance(replies[1], ResponseError)

    def test_an_unknown_script(self):
        with self.assertRaises(NoScriptError):
            self.client.evalsha("0" * 40, 0)

    def test_a_function(self):
        self.client.function_load(
            "#!lua name=counters\n"
            "redis.register_function('bump', function(keys, args)\n"
            "  local all = {}\n"
            "  for at, key in ipairs(keys) do all[at] = redis.call('INCRBY', key, args[1]) end\n"
            "  return all\n"
            "end)",
            replace=True,
        )
        self.assertEqual(self.client.fcall("bump", 3, "x", "y", "x", 5), [5, 5, 10])
        [library] = self.client.function_list(library="counters")
        self.assertEqual(library[:4], ["library_name", "counters", "engine", "LUA"])
        self.client.function_delete("counters")

    def test_a_watched_transaction_and_scripts(self):
        transfer = self.client.register_script(self.TRANSFER)
        self.client.mset({"a": 100, "b": 0})

        def work():
            client = redis.Redis(port=PORT)
            for _ in range(10):
                client.transaction(
                    lambda pipeline: (
                        value := int(pipeline.get("total") or 0),
                        pipeline.multi(),
                        pipeline.set("total", value + 1),
                        transfer(keys=["a", "b"], args=[1], client=pipeline),
                    ),
                    "total",
                )
            client.close()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(self.client.mget("total", "a", "b"), ["40", "60", "40"])


if __name__ == "__main__":
    unittest.main()
