// Socket.IO over several servers: the Redis adapter and its sharded form, on both clients, and the emitter.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { Emitter } from "@socket.io/redis-emitter";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { Server } from "socket.io";
import { io as connect } from "socket.io-client";

const port = Number(process.env.DARTER_PORT);
const servers = 3;

async function nodeRedis() {
  const client = createClient({ socket: { port } });
  client.on("error", () => {});
  return client.connect();
}
const ioredis = async () => new Redis({ port });
// Neither gives up what is under way.
const close = (client) => (client.close ?? client.quit).call(client);

// Resolves when `holds` does: joins and subscriptions are not awaited by anybody.
async function eventually(holds) {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 10));
}
const heard = (socket, event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));

for (const [name, adapter, newClient] of [
  ["redis-adapter on node-redis", createAdapter, nodeRedis],
  ["redis-adapter on ioredis", createAdapter, ioredis],
  ["sharded adapter on node-redis", createShardedAdapter, nodeRedis],
  ["sharded adapter on ioredis", createShardedAdapter, ioredis],
]) {
  describe(name, { concurrency: false }, () => {
    const redisClients = [];
    const ios = [];
    const clients = [];
    const sockets = [];

    before(async () => {
      for (let number = 0; number < servers; number++) {
        const [publisher, subscriber] = [await newClient(), await newClient()];
        redisClients.push(publisher, subscriber);
        const http = createServer();
        const io = new Server(http, { adapter: adapter(publisher, subscriber) });
        ios.push(io);
        await new Promise((resolve) => http.listen(0, resolve));
        const accepted = new Promise((resolve) => io.once("connection", resolve));
        clients.push(connect(`http://localhost:${http.address().port}`));
        sockets.push(await accepted);
      }
      // All of them know each other when requests of each are answered by all.
      for (const io of ios) {
        await eventually(async () => (await io.of("/").adapter.serverCount()) === servers);
        await eventually(async () => (await io.fetchSockets()).length === servers);
      }
    });

    after(async () => {
      for (const client of clients) client.disconnect();
      for (const io of ios) await io.close();
      await Promise.all(redisClients.map(close));
    });

    test("what one server broadcasts reaches the clients of all, in order", async () => {
      const all = clients.map(
        (client) =>
          new Promise((resolve) => {
            const numbers = [];
            client.on("number", (number) => numbers.push(number) === 200 && resolve(numbers));
          }),
      );
      for (let number = 0; number < 200; number++) ios[0].emit("number", number);
      for (const numbers of await Promise.all(all)) {
        assert.deepEqual(numbers, [...Array(200).keys()]);
      }
    });

    test("binary data and a broadcast by a socket to all but itself", async () => {
      const others = [heard(clients[1], "bytes"), heard(clients[2], "bytes")];
      let own = false;
      clients[0].on("bytes", () => (own = true));
      const bytes = Buffer.from([0, 13, 10, 255]);
      sockets[0].broadcast.emit("bytes", bytes, { deep: ["å"] });
      for (const [data, more] of await Promise.all(others)) {
        assert.deepEqual(Buffer.from(data), bytes);
        assert.deepEqual(more, { deep: ["å"] });
      }
      const fence = heard(clients[0], "fence");
      ios[1].emit("fence");
      await fence;
      assert.equal(own, false);
    });

    test("rooms that sockets of several servers join and leave", async () => {
      await sockets[1].join("room");
      await ios[0].in(sockets[2].id).socketsJoin("room");
      await eventually(async () => (await ios[0].in("room").fetchSockets()).length === 2);
      let outside = false;
      clients[0].on("inside", () => (outside = true));
      // The sharded adapter subscribes to a room when somebody joins it, without waiting.
      await eventually(async () => {
        const hearing = Promise.all([heard(clients[1], "inside"), heard(clients[2], "inside")]);
        ios[0].to("room").emit("inside", 1);
        return Promise.race([
          hearing.then(() => true),
          new Promise((resolve) => setTimeout(resolve, 100, false)),
        ]);
      });
      await ios[0].in("room").socketsLeave("room");
      await eventually(async () => (await ios[2].in("room").fetchSockets()).length === 0);
      assert.equal(outside, false);
    });

    test("fetchSockets from every server, with their data", async () => {
      for (const [number, socket] of sockets.entries()) socket.data.number = number;
      for (const io of ios) {
        const found = await io.fetchSockets();
        assert.deepEqual(found.map(({ id }) => id).sort(), sockets.map(({ id }) => id).sort());
        assert.deepEqual(found.map(({ data }) => data.number).sort(), [0, 1, 2]);
      }
      const none = await ios[0].in("nowhere").fetchSockets();
      assert.deepEqual(none, []);
    });

    test("serverSideEmit, with and without acknowledgements", async () => {
      for (const [number, io] of ios.entries()) {
        io.on("question", (word, answer) => answer?.(`${word} ${number}`));
      }
      const answers = await ios[1].serverSideEmitWithAck("question", "here");
      assert.deepEqual(answers.sort(), ["here 0", "here 2"]);
      const told = [0, 2].map((number) => heard(ios[number], "news"));
      ios[1].serverSideEmit("news", 42);
      assert.deepEqual(await Promise.all(told), [[42], [42]]);
    });

    test("a broadcast whose receivers answer", async () => {
      for (const [number, client] of clients.entries()) {
        client.on("ask", (word, answer) => answer(`${word} ${number}`));
      }
      for (const io of ios) {
        const answers = await io.timeout(30_000).emitWithAck("ask", "yes");
        assert.deepEqual(answers.sort(), ["yes 0", "yes 1", "yes 2"]);
      }
    });

    test("namespaces of their own", async () => {
      const url = (io) => `http://localhost:${io.httpServer.address().port}/chat`;
      for (const io of ios) io.of("/chat").on("connection", () => {});
      const inside = ios.map((io) => connect(url(io)));
      await Promise.all(inside.map((client) => heard(client, "connect")));
      for (const io of ios) {
        await eventually(async () => (await io.of("/chat").adapter.serverCount()) === servers);
        await eventually(async () => (await io.of("/chat").fetchSockets()).length === servers);
      }
      const all = inside.map((client) => heard(client, "chat"));
      ios[2].of("/chat").emit("chat", "hello");
      assert.deepEqual(await Promise.all(all), [["hello"], ["hello"], ["hello"]]);
      for (const client of inside) client.disconnect();
    });

    test("disconnectSockets takes them off all servers", async () => {
      const gone = clients.slice(0, 2).map((client) => heard(client, "disconnect"));
      const reasons = new Set();
      for (const number of [0, 1]) ios[2].in(sockets[number].id).disconnectSockets(true);
      for (const [reason] of await Promise.all(gone)) reasons.add(reason);
      assert.equal(reasons.size, 1);
      await eventually(async () => (await ios[2].fetchSockets()).length === 1);
    });

    if (adapter === createAdapter) {
      test("the emitter, which is no server", async () => {
        const client = await newClient();
        redisClients.push(client);
        const emitter = new Emitter(client);
        const news = heard(clients[2], "news");
        emitter.emit("news", { number: 7 });
        assert.deepEqual(await news, [{ number: 7 }]);

        emitter.in(sockets[2].id).socketsJoin(["emitted"]);
        await eventually(async () => (await ios[0].in("emitted").fetchSockets()).length === 1);
        const inRoom = heard(clients[2], "inRoom");
        emitter.to("emitted").emit("inRoom", Buffer.from("bytes"));
        assert.equal(Buffer.from((await inRoom)[0]).toString(), "bytes");

        const asked = ios.map((io) => heard(io, "fromEmitter"));
        emitter.serverSideEmit("fromEmitter", "all");
        assert.deepEqual(await Promise.all(asked), [["all"], ["all"], ["all"]]);

        const gone = heard(clients[2], "disconnect");
        emitter.disconnectSockets(true);
        await gone;
      });
    }
  });
}
