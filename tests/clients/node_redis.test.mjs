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
  });
}
