"""FastStream: channels, patterns, lists and streams as its subscribers, and requests with replies."""

import asyncio
import os
import unittest

import redis.asyncio as redis
from faststream import FastStream
from faststream.redis import ListSub, PubSub, RedisBroker, RedisMessage, StreamSub

PORT = int(os.environ["DARTER_PORT"])
PATIENCE = 60


class WithFastStream(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.redis = redis.Redis(port=PORT, decode_responses=True)
        await self.redis.flushall()
        self.broker = RedisBroker(f"redis://127.0.0.1:{PORT}", logger=None)
        self.heard = asyncio.Queue()

    async def asyncTearDown(self):
        await self.broker.stop()
        await self.redis.aclose()

    async def next(self, count):
        return [await asyncio.wait_for(self.heard.get(), PATIENCE) for _ in range(count)]

    async def test_channels_and_patterns(self):
        @self.broker.subscriber("news")
        async def news(body: dict):
            await self.heard.put(("news", body))

        @self.broker.subscriber(PubSub("logs.*", pattern=True))
        async def logs(body: str):
            await self.heard.put(("logs", body))

        await self.broker.start()
        await self.subscribed(channels=1, patterns=1)
        await self.broker.publish({"number": 1}, "news")
        await self.broker.publish("line", channel="logs.web")
        heard = await self.next(2)
        self.assertCountEqual(heard, [("news", {"number": 1}), ("logs", "line")])

    async def subscribed(self, channels=0, patterns=0):
        """Nobody says when a subscription is in place."""
        async with asyncio.timeout(PATIENCE):
            while (
                len(await self.redis.pubsub_channels()) < channels
                or await self.redis.pubsub_numpat() < patterns
            ):
                await asyncio.sleep(0.01)

    async def test_a_chain_of_channels(self):
        @self.broker.subscriber("in")
        @self.broker.publisher("out")
        async def double(number: int) -> int:
            return number * 2

        @self.broker.subscriber("out")
        async def out(number: int):
            await self.heard.put(number)

        await self.broker.start()
        await self.subscribed(channels=2)
        for number in range(20):
            await self.broker.publish(number, "in")
        self.assertEqual(sorted(await self.next(20)), [2 * number for number in range(20)])

    async def test_requests(self):
        @self.broker.subscriber("shout")
        async def shout(word: str) -> str:
            return word.upper()

        await self.broker.start()
        await self.subscribed(channels=1)
        reply = await self.broker.request("hello", "shout", timeout=PATIENCE)
        self.assertEqual(await reply.decode(), "HELLO")

    async def test_lists(self):
        @self.broker.subscriber(list="jobs")
        async def one(body: int):
            await self.heard.put(body)

        await self.broker.connect()
        await self.broker.publish_batch(*range(5), list="jobs")
        await self.broker.start()
        self.assertEqual(await self.next(5), list(range(5)))
        await self.broker.publish(5, list="jobs")
        self.assertEqual(await self.next(1), [5])

    async def test_batches_of_a_list(self):
        @self.broker.subscriber(list=ListSub("jobs", batch=True, max_records=3))
        async def several(bodies: list[int]):
            await self.heard.put(bodies)

        await self.broker.connect()
        await self.broker.publish_batch(*range(7), list="jobs")
        await self.broker.start()
        batches = await self.next(3)
        self.assertEqual(batches, [[0, 1, 2], [3, 4, 5], [6]])

    async def test_a_stream(self):
        @self.broker.subscriber(stream=StreamSub("events", last_id="0"))
        async def event(body: dict, message: RedisMessage):
            await self.heard.put(body["number"])

        await self.broker.connect()
        for number in range(10):
            await self.broker.publish({"number": number}, stream="events")
        await self.broker.start()
        self.assertEqual(await self.next(10), list(range(10)))
        await self.broker.publish({"number": 10}, stream="events")
        self.assertEqual(await self.next(1), [10])

    async def test_consumers_of_a_group_share_a_stream(self):
        async def event(body: int):
            await self.heard.put(body)

        for name in ("first", "second"):
            self.broker.subscriber(stream=StreamSub("events", group="group", consumer=name))(event)
        await self.broker.start()
        await self.reading(2)
        for number in range(50):
            await self.broker.publish(number, stream="events")
        heard = await self.next(50)
        self.assertEqual(sorted(heard), list(range(50)))
        async with asyncio.timeout(PATIENCE):
            while (await self.redis.xpending("events", "group"))["pending"] > 0:
                await asyncio.sleep(0.01)
        [group] = await self.redis.xinfo_groups("events")
        self.assertEqual((group["consumers"], group["entries-read"], group["lag"]), (2, 50, 0))

    async def reading(self, count):
        """A group begins at the end of its stream, so it has to be there before what it shall read."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    [group] = await self.redis.xinfo_groups("events")
                    if group["consumers"] == count:
                        return
                except redis.ResponseError:
                    pass
                await asyncio.sleep(0.01)

    async def test_what_fails_stays_pending(self):
        @self.broker.subscriber(stream=StreamSub("events", group="group", consumer="only"))
        async def event(body: int):
            await self.heard.put(body)
            raise ValueError("on purpose")

        await self.broker.start()
        await self.reading(1)
        await self.broker.publish(1, stream="events")
        await self.next(1)
        self.assertEqual((await self.redis.xpending("events", "group"))["pending"], 1)

    async def test_a_pipeline_and_an_application(self):
        @self.broker.subscriber(list="jobs")
        async def one(body: int):
            await self.heard.put(body)

        application = FastStream(self.broker, logger=None)
        await application.start()
        async with self.redis.pipeline() as pipeline:
            for number in range(10):
                await self.broker.publish(number, list="jobs", pipeline=pipeline)
            await pipeline.execute()
        self.assertEqual(await self.next(10), list(range(10)))
        await application.stop()


if __name__ == "__main__":
    unittest.main()
