"""redis-py's asyncio side."""

import asyncio
import os
import unittest

import redis.asyncio as redis

PORT = int(os.environ["DARTER_PORT"])


class Asyncio(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.client = redis.Redis(port=PORT, decode_responses=True)
        await self.client.flushall()

    async def asyncTearDown(self):
        await self.client.aclose()

    async def test_many_requests_at_a_time(self):
        await asyncio.gather(*(self.client.set(f"k{number}", number) for number in range(90)))
        values = await asyncio.gather(*(self.client.get(f"k{number}") for number in range(90)))
        self.assertEqual(values, [str(number) for number in range(90)])

    async def test_a_pipeline(self):
        async with self.client.pipeline(transaction=False) as pipeline:
            pipeline.set("a", 1).incr("a").ttl("a")
            self.assertEqual(await pipeline.execute(), [True, 2, -1])

    async def test_scan(self):
        await self.client.mset({f"s{number}": "x" for number in range(100)})
        found = {key async for key in self.client.scan_iter("s*", count=7)}
        self.assertEqual(len(found), 100)

    async def test_a_cancelled_request_does_not_mix_up_the_replies(self):
        await self.client.set("a", "1")
        for _ in range(50):
            task = asyncio.create_task(self.client.echo("nobody waits"))
            await asyncio.sleep(0)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            self.assertEqual(await self.client.get("a"), "1")


if __name__ == "__main__":
    unittest.main()
