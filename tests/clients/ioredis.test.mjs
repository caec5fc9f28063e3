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

// The next `count` events of a kind, and a way of waiting for them.
function heard(emitter, name, count) {
  return new Promise((resolve) => {
    const all = [];
    emitter.on(name, (...event) => all.push(event) === count && resolve(all));
  });
}

test("pub/sub: channels, patterns, sharded channels", async () => {
  const subscriber = new Redis({ port });
  assert.equal(await subscriber.subscribe("a", "b"), 2);
  assert.equal(await subscriber.psubscribe("a*", "?"), 4);
  assert.equal(await subscriber.ssubscribe("s1", "s2"), 2);
  const messages = heard(subscriber, "message", 1);
  const matches = heard(subscriber, "pmessage", 3);
  const sharded = heard(subscriber, "smessage", 1);
  assert.equal(await client.publish("a", "one"), 3);
  assert.equal(await client.publish("c", "two"), 1);
  assert.equal(await client.spublish("s2", "three"), 1);
  assert.deepEqual(await messages, [["a", "one"]]);
  assert.deepEqual((await matches).map((match) => match.join()).sort(), ["?,a,one", "?,c,two", "a*,a,one"]);
  assert.deepEqual(await sharded, [["s2", "three"]]);
  assert.deepEqual(await client.pubsub("NUMSUB", "a", "z"), ["a", 1, "z", 0]);
  assert.equal(await subscriber.unsubscribe("a", "b"), 2);
  assert.equal(await subscriber.punsubscribe(), 0);
  assert.equal(await subscriber.sunsubscribe(), 0);
  // Back to ordinary commands.
  assert.equal(await subscriber.set("a", "1"), "OK");
  await subscriber.quit();
});

test("a subscriber that connects again subscribes again", async () => {
  const subscriber = new Redis({ port });
  await subscriber.subscribe("news");
  const again = new Promise((resolve) => subscriber.once("ready", resolve));
  await client.client("KILL", "TYPE", "pubsub");
  await again;
  const message = heard(subscriber, "message", 1);
  while ((await client.publish("news", "back")) === 0);
  assert.deepEqual((await message)[0], ["news", "back"]);
  subscriber.disconnect();
});

test("scripts as commands, transactions, and keys that are watched", async () => {
  client.defineCommand("move2", {
    numberOfKeys: 2,
    lua: "local v = redis.call('GET', KEYS[1]) redis.call('DEL', KEYS[1]) redis.call('SET', KEYS[2], v) return v",
  });
  await client.set("from", "x");
  await client.script("FLUSH");
  assert.equal(await client.move2("from", "to"), "x");
  const replies = await client.multi().move2("to", "back").get("back").exec();
  assert.deepEqual(replies, [[null, "x"], [null, "x"]]);

  const other = new Redis({ port });
  await client.watch("back");
  await other.set("back", "changed");
  assert.equal(await client.multi().set("never", "1").exec(), null);
  assert.equal(await client.exists("never"), 0);
  await other.quit();
});

test("a blocked client is served, and another one times out", async () => {
  const blocked = new Redis({ port });
  const popped = blocked.blpop("nothing", "list", 60);
  await client.rpush("list", "element");
  assert.deepEqual(await popped, ["list", "element"]);
  assert.equal(await blocked.brpop("list", 0.05), null);
  await blocked.quit();
});
