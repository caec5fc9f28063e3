"""redis-py's pub/sub: patterns, sharded channels, threads, keyspace notifications."""

import os
import threading
import unittest

import redis

PORT = int(os.environ["DARTER_PORT"])
PATIENCE = 60


class PubSub:
    """What holds over either protocol."""

    protocol = None

    def setUp(self):
        options = {} if self.protocol is None else {"protocol": self.protocol}
        self.client = redis.Redis(port=PORT, decode_responses=True, **options)
        self.client.flushall()
        self.pubsub = self.client.pubsub()

    def tearDown(self):
        self.pubsub.close()
        self.client.close()

    def messages(self, count, pubsub=None):
        pubsub = pubsub or self.pubsub
        return [pubsub.get_message(timeout=PATIENCE) for _ in range(count)]

    def heard(self, count, pubsub=None):
        return [
            (message["type"], message["pattern"], message["channel"], message["data"])
            for message in self.messages(count, pubsub)
        ]

    def test_channels_and_patterns(self):
        self.pubsub.subscribe("a", "b")
        self.pubsub.psubscribe("a*", "[b-c]")
        self.assertEqual([message["data"] for message in self.messages(4)], [1, 2, 3, 4])
        self.assertEqual(self.client.publish("a", "one"), 2)
        self.assertEqual(self.client.publish("c", "two"), 1)
        self.assertEqual(self.client.publish("d", "nobody"), 0)
        heard = self.heard(3)
        self.assertEqual(heard[0], ("message", None, "a", "one"))
        self.assertEqual(heard[1], ("pmessage", "a*", "a", "one"))
        self.assertEqual(heard[2], ("pmessage", "[b-c]", "c", "two"))
        self.assertEqual(self.client.pubsub_numsub("a", "b", "c"), [("a", 1), ("b", 1), ("c", 0)])
        self.assertEqual(self.client.pubsub_numpat(), 2)
        self.assertEqual(sorted(self.client.pubsub_channels("?")), ["a", "b"])
        self.pubsub.unsubscribe()
        self.assertEqual(sorted(message["data"] for message in self.messages(2)), [2, 3])
        self.pubsub.punsubscribe()
        self.assertEqual(sorted(message["data"] for message in self.messages(2)), [0, 1])
        self.assertFalse(self.pubsub.subscribed)

    def test_sharded_channels(self):
        self.pubsub.ssubscribe("s1", "s2", "s3")
        self.messages(3)
        self.assertEqual(self.client.spublish("s2", "x"), 1)
        self.assertEqual(self.client.publish("s2", "elsewhere"), 0)
        message = self.pubsub.get_sharded_message(timeout=PATIENCE)
        self.assertEqual((message["type"], message["channel"], message["data"]), ("smessage", "s2", "x"))
        self.assertEqual(self.client.pubsub_shardnumsub("s2", "s9"), [("s2", 1), ("s9", 0)])
        self.assertEqual(sorted(self.client.pubsub_shardchannels()), ["s1", "s2", "s3"])
        self.pubsub.sunsubscribe("s2")
        self.messages(1)
        self.assertEqual(self.client.spublish("s2", "x"), 0)

    def test_order_of_a_publisher(self):
        others = [self.client.pubsub() for _ in range(3)]
        for pubsub in [self.pubsub, *others]:
            pubsub.subscribe("stream")
            self.messages(1, pubsub)
        with self.client.pipeline(transaction=False) as pipeline:
            for number in range(1000):
                pipeline.publish("stream", number)
            self.assertEqual(pipeline.execute(), [4] * 1000)
        for pubsub in [self.pubsub, *others]:
            numbers = [int(message["data"]) for message in self.messages(1000, pubsub)]
            self.assertEqual(numbers, list(range(1000)))
        for pubsub in others:
            pubsub.close()

    def test_publishing_in_transactions_and_scripts(self):
        self.pubsub.subscribe("news")
        self.messages(1)
        with self.client.pipeline() as pipeline:
            pipeline.publish("news", "1").set("a", 1).publish("news", "2")
            self.assertEqual(pipeline.execute(), [1, True, 1])
        self.assertEqual(self.client.eval("return redis.call('PUBLISH', 'news', '3')", 0), 1)
        self.assertEqual([message["data"] for message in self.messages(3)], ["1", "2", "3"])

    def test_a_thread_with_handlers(self):
        heard, enough = [], threading.Event()

        def handler(message):
            heard.append(message["data"])
            if len(heard) == 100:
                enough.set()

        self.pubsub.subscribe(numbers=handler)
        thread = self.pubsub.run_in_thread(sleep_time=0.01)
        while self.client.publish("numbers", "0") == 0:
            pass
        for number in range(1, 100):
            self.client.publish("numbers", number)
        self.assertTrue(enough.wait(PATIENCE))
        thread.stop()
        thread.join()
        self.assertEqual(heard, [str(number) for number in range(100)])

    def test_keyspace_notifications(self):
        self.client.config_set("notify-keyspace-events", "KEA")
        try:
            self.pubsub.psubscribe("__keyevent@0__:*")
            self.messages(1)
            self.client.set("a", 1, px=1)
            self.client.rpush("l", 1)
            self.client.lpop("l")
            heard = {(message["channel"].split(":")[1], message["data"]) for message in self.messages(6)}
            wanted = {"set a", "expire a", "expired a", "rpush l", "lpop l", "del l"}
            self.assertEqual({" ".join(event) for event in heard}, wanted)
        finally:
            self.client.config_set("notify-keyspace-events", "")

    def test_ping_and_binary_messages(self):
        raw = redis.Redis(port=PORT)
        pubsub = raw.pubsub()
        pubsub.subscribe(b"\x00\r\n")
        self.messages(1, pubsub)
        pubsub.ping("are you there")
        self.assertEqual(self.messages(1, pubsub)[0]["data"], b"are you there")
        value = bytes(range(256)) * 1000
        raw.publish(b"\x00\r\n", value)
        self.assertEqual(self.messages(1, pubsub)[0]["data"], value)
        pubsub.close()
        raw.close()


class Resp3ByDefault(PubSub, unittest.TestCase):
    protocol = None


class Resp2(PubSub, unittest.TestCase):
    protocol = 2


if __name__ == "__main__":
    unittest.main()
