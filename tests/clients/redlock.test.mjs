// redlock: locks as scripts over several keys, on several clients, tried again until they are free.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { Redis } from "ioredis";
import Redlock from "redlock";

const port = Number(process.env.DARTER_PORT);
const long = 60_000;
let clients;
let redis;

before(() => {
  clients = [0, 1, 2].map((db) => new Redis({ port, db }));
  [redis] = clients;
});
beforeEach(() => redis.flushall());
after(() => Promise.all(clients.map((client) => client.quit())));

const once = (options) => new Redlock(options ?? [redis], { retryCount: 0 });

test("a lock is one client's until it is given back", async () => {
  const lock = await once().lock("resource", long);
  await assert.rejects(once().lock("resource", long), { name: "LockError" });
  await lock.unlock();
  await (await once().lock("resource", long)).unlock();
  assert.equal(await redis.exists("resource"), 0);
});

test("a lock on several resources takes all or none", async () => {
  const resources = [...Array(20).keys()].map((number) => `resource:${number}`);
  const lock = await once().lock(resources, long);
  assert.equal(await redis.exists(...resources), 20);
  await assert.rejects(once().lock(["free", "resource:7"], long), { name: "LockError" });
  assert.equal(await redis.exists("free"), 0);
  await lock.unlock();
  assert.equal(await redis.exists(...resources), 0);
});

test("extending a lock, and one that was lost", async () => {
  const lock = await once().lock("resource", 5_000);
  const longer = await lock.extend(long);
  assert.ok((await redis.pttl("resource")) > 10_000);
  await redis.set("resource", "another one's");
  await assert.rejects(longer.extend(long), { name: "LockError" });
  await assert.rejects(longer.unlock(), { name: "LockError" });
  assert.equal(await redis.get("resource"), "another one's");
});

test("whoever waits gets a lock that is given back, or that expires", async () => {
  const patient = new Redlock([redis], { retryCount: -1, retryDelay: 10, retryJitter: 10 });
  const first = await patient.lock("resource", long);
  const second = patient.lock("resource", 100);
  await first.unlock();
  await second;
  await (await patient.lock("resource", long)).unlock();
});

test("a majority of databases is enough", async () => {
  await clients[2].set("resource", "held elsewhere");
  const lock = await once(clients).lock("resource", long);
  await assert.rejects(once(clients).lock("resource", long), { name: "LockError" });
  await lock.unlock();
  await clients[1].set("resource", "held elsewhere");
  await assert.rejects(once(clients).lock("resource", long), { name: "LockError" });
  assert.equal(await redis.exists("resource"), 0);
});

test("nobody is inside together with another one", async () => {
  const patient = new Redlock([redis], { retryCount: -1, retryDelay: 5, retryJitter: 5 });
  let inside = 0;
  let count = 0;
  await Promise.all(
    [...Array(10).keys()].map(async () => {
      for (let turn = 0; turn < 5; turn++) {
        const lock = await patient.lock(["a", "b", "c"], long);
        assert.equal(++inside, 1);
        await redis.ping();
        count++;
        inside--;
        await lock.unlock();
      }
    }),
  );
  assert.equal(count, 50);
});
