// ioredis: RESP2, lower-case commands, automatic reconnection.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { Redis } from "ioredis";

const port = Number(process.env.DARTER_PORT);
let client;

before(() => {
  client = new Redis({ port, enableReadyCheck: true });
});
beforeEach(() => client.flushall());
after(() => client.quit());

test("strings, numbers, expiry", async () => {
  assert.equal(await client.set("a", "1", "EX", 100), "OK");
  assert.equal(await client.set("a", "2", "NX"), null);
  assert.equal(await client.incrby("a", 41), 42);
  assert.ok((await client.ttl("a")) > 90);
  assert.deepEqual(await client.mget("a", "none"), ["42", null]);
});

test("buffers", async () => {
  const value = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  await client.set("bytes", value);
  assert.deepEqual(await client.getBuffer("bytes"), value);
  const large = Buffer.alloc(8 << 20, "x");
  await client.set("large", large);
  assert.equal((await client.getBuffer("large")).equals(large), true);
});

test("a pipeline answers in order", async () => {
  const pipeline = client.pipeline();
  for (let number = 0; number < 500; number++) pipeline.set(`k${number}`, number).incr(`k${number}`);
  const replies = await pipeline.exec();
  assert.equal(replies.length, 1000);
  assert.deepEqual(replies[999], [null, 500]);
});

test("automatic pipelining", async () => {
  const many = new Redis({ port, enableAutoPipelining: true });
  const replies = await Promise.all(Array.from({ length: 500 }, () => many.incr("counter")));
  assert.deepEqual(replies, Array.from({ length: 500 }, (_, index) => index + 1));
  await many.quit();
});

test("a scan stream finds every key once it has ended", async () => {
  await client.mset(Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`s${n}`, "x"])));
  const found = new Set();
  for await (const keys of client.scanStream({ match: "s*", count: 20 })) keys.forEach((k) => found.add(k));
  assert.equal(found.size, 300);
});

test("errors are errors of the reply", async () => {
  await client.set("text", "x");
  await assert.rejects(client.incr("text"), /ERR value is not an integer or out of range/);
  await assert.rejects(client.call("nosuch", "x"), /ERR unknown command 'nosuch'/);
});

test("it connects again after its connection was killed", async () => {
  const admin = new Redis({ port });
  await client.set("a", "1");
  const reconnected = new Promise((resolve) => client.once("ready", resolve));
  assert.equal(await admin.client("KILL", "ID", await client.client("ID")), 1);
  await reconnected;
  assert.equal(await client.get("a"), "1");
  await admin.quit();
});
