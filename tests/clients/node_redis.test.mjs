// node-redis, over RESP3 and RESP2.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { createClient } from "redis";

const port = Number(process.env.DARTER_PORT);

for (const RESP of [2, 3]) {
  describe(`RESP${RESP}`, () => {
    let client;
    before(async () => {
      client = createClient({ socket: { port }, RESP, name: "tester" });
      client.on("error", () => {});
      await client.connect();
    });
    beforeEach(() => client.flushAll());
    after(() => client.close());

    test("strings, numbers, expiry", async () => {
      assert.equal(await client.set("a", "1", { expiration: { type: "EX", value: 100 } }), "OK");
      assert.equal(await client.set("a", "2", { condition: "NX" }), null);
      assert.equal(await client.incrBy("a", 41), 42);
      assert.ok((await client.ttl("a")) > 90);
      assert.deepEqual(await client.mGet(["a", "none"]), ["42", null]);
    });

    test("maps have their shape", async () => {
      const config = await client.configGet(["maxmemory-policy", "databases"]);
      assert.equal(config["maxmemory-policy"], "noeviction");
      assert.equal(config.databases, "16");
    });

    test("its name arrived with the handshake", async () => {
      assert.equal(await client.clientGetName(), "tester");
      const info = await client.clientInfo();
      assert.equal(info.resp, RESP);
      assert.equal(info.libName, "node-redis");
    });

    test("commands sent together are answered in order", async () => {
      const replies = await Promise.all(Array.from({ length: 500 }, () => client.incr("counter")));
      assert.deepEqual(replies, Array.from({ length: 500 }, (_, index) => index + 1));
      const pipelined = await client.multi().set("p", "1").incr("p").get("p").execAsPipeline();
      assert.deepEqual(pipelined, ["OK", 2, "2"]);
    });

    test("an iterator finds every key", async () => {
      await client.mSet(Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`s${n}`, "x"])));
      const found = new Set();
      for await (const keys of client.scanIterator({ MATCH: "s*", COUNT: 20 }))
        for (const key of keys) found.add(key);
      assert.equal(found.size, 300);
    });

    test("errors are errors of the reply", async () => {
      await client.set("text", "x");
      await assert.rejects(client.incr("text"), /ERR value is not an integer or out of range/);
    });

    test("it connects again after its connection was killed", async () => {
      const admin = await createClient({ socket: { port } }).connect();
      await client.set("a", "1");
      const ready = new Promise((resolve) => client.once("ready", resolve));
      await admin.sendCommand(["CLIENT", "KILL", "ID", String(await client.clientId())]);
      await ready;
      assert.equal(await client.get("a"), "1");
      await admin.close();
    });

    test("pub/sub: channels, patterns, sharded channels", async () => {
      const subscriber = await createClient({ RESP, socket: { port } }).connect();
      const heard = [];
      let enough;
      const all = new Promise((resolve) => (enough = resolve));
      const listen = (kind) => (message, channel) => {
        if (heard.push(`${kind} ${channel} ${message}`) === 4) enough();
      };
      await subscriber.subscribe(["a", "b"], listen("message"));
      await subscriber.pSubscribe("a*", listen("pattern"));
      await subscriber.sSubscribe("s", listen("sharded"));
      assert.equal(await client.publish("a", "one"), 2);
      assert.equal(await client.publish("b", "two"), 1);
      assert.equal(await client.sPublish("s", "three"), 1);
      await all;
      const wanted = ["message a one", "message b two", "pattern a one", "sharded s three"];
      assert.deepEqual(heard.sort(), wanted);
      assert.deepEqual({ ...(await client.pubSubNumSub(["a", "z"])) }, { a: 1, z: 0 });
      assert.equal(await client.pubSubNumPat(), 1);
      await subscriber.unsubscribe("a");
      await subscriber.pUnsubscribe("a*");
      assert.equal(await client.publish("a", "nobody"), 0);
      await subscriber.unsubscribe("b");
      await subscriber.sUnsubscribe("s");
      // Back to ordinary commands; the client leaves its replies as bytes.
      assert.equal(String(await subscriber.set("a", "1")), "OK");
      await subscriber.close();
    });

    test("transactions, and a key that is watched", async () => {
      assert.deepEqual(await client.multi().set("a", "1").incr("a").exec(), ["OK", 2]);
      const other = await createClient({ RESP, socket: { port } }).connect();
      await client.watch("a");
      await other.set("a", "5");
      await assert.rejects(client.multi().incr("a").exec(), /WatchError|watched/i);
      await other.close();
    });

    test("a script, declared or not", async () => {
      const script = "return {KEYS[1], ARGV[1], redis.call('INCR', 'undeclared')}";
      const options = { keys: ["a"], arguments: ["b"] };
      assert.deepEqual(await client.eval(script, options), ["a", "b", 1]);
      const sha = await client.scriptLoad(script);
      assert.deepEqual(await client.evalSha(sha, options), ["a", "b", 2]);
    });
  });
}

test("a client-side cache forgets what others change", async () => {
  const other = await createClient({ socket: { port } }).connect();
  const clientSideCache = { maxEntries: 100 };
  const client = await createClient({ RESP: 3, socket: { port }, clientSideCache }).connect();
  await other.flushAll();
  const reads = async () => Number(/cmdstat_get:calls=(\d+)/.exec(await other.info("commandstats"))?.[1] ?? 0);
  await other.set("a", "1");
  assert.equal(await client.get("a"), "1");
  const before = await reads();
  for (let turn = 0; turn < 20; turn++) assert.equal(await client.get("a"), "1");
  assert.equal(await reads(), before);
  for (const [change, value] of [
    [() => other.set("a", "2"), "2"],
    [() => other.multi().set("b", "x").append("a", "3").exec(), "23"],
    [() => other.eval("return redis.call('SET', KEYS[1], 'scripted')", { keys: ["a"] }), "scripted"],
    [() => other.del("a"), null],
    [() => other.rename("b", "a"), "x"],
    [() => other.flushAll(), null],
  ]) {
    await change();
    // An invalidation from another worker may come a moment later.
    while ((await client.get("a")) !== value) await new Promise(setImmediate);
  }
  await client.close();
  await other.close();
});
