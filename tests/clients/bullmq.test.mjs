// BullMQ on ioredis: its scripts build keys from a prefix, and its workers block on markers.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { DelayedError, FlowProducer, Queue, QueueEvents, UnrecoverableError, Worker } from "bullmq";
import { Redis } from "ioredis";

const connection = { port: Number(process.env.DARTER_PORT) };
const patience = 60_000;
let redis;
let queue;
let events;
let opened = [];

// Closes something after the test, whatever becomes of it.
function open(thing) {
  thing.on("error", () => {});
  opened.unshift(thing);
  return thing;
}
const work = (processor, options) => open(new Worker("jobs", processor, { connection, ...options }));

// The next event of a kind that `wanted` agrees to.
function next(emitter, name, wanted = () => true) {
  return new Promise((resolve) => {
    const listen = (...event) => {
      if (!wanted(...event)) return;
      emitter.off(name, listen);
      resolve(event);
    };
    emitter.on(name, listen);
  });
}

before(() => {
  redis = new Redis(connection);
});
beforeEach(async () => {
  await redis.flushall();
  queue = open(new Queue("jobs", { connection }));
  // From the first event on: nothing tells when it has begun to wait for later ones.
  events = open(new QueueEvents("jobs", { connection, lastEventId: "0-0" }));
});
afterEach(async () => {
  for (const thing of opened) await thing.close();
  opened = [];
});
after(() => redis.quit());

test("jobs are done, in their order, and return results", async () => {
  const jobs = await queue.addBulk([...Array(50).keys()].map((data) => ({ name: "double", data })));
  const seen = [];
  work(async (job) => {
    seen.push(job.data);
    return job.data * 2;
  });
  const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events, patience)));
  assert.deepEqual(results, [...Array(50).keys()].map((data) => data * 2));
  assert.deepEqual(seen, [...Array(50).keys()]);
  const { completed, waiting, active } = await queue.getJobCounts();
  assert.deepEqual([completed, waiting, active], [50, 0, 0]);
});

test("a waiting worker is woken by a job", async () => {
  const worker = work(async (job) => job.data.toUpperCase());
  await next(worker, "drained");
  for (const word of ["one", "two"]) {
    const job = await queue.add("shout", word);
    assert.equal(await job.waitUntilFinished(events, patience), word.toUpperCase());
  }
});

test("several workers share many jobs, each done once", async () => {
  const done = new Map();
  const count = 300;
  const all = new Promise((resolve) => {
    const processor = async (job) => {
      done.set(job.data, (done.get(job.data) ?? 0) + 1);
      if (done.size === count) resolve();
    };
    for (let number = 0; number < 3; number++) work(processor, { concurrency: 10 });
  });
  await queue.addBulk([...Array(count).keys()].map((data) => ({ name: "count", data })));
  await all;
  assert.deepEqual([...new Set(done.values())], [1]);
});

test("priorities and last in, first out", async () => {
  await queue.pause();
  await queue.add("job", "low", { priority: 10 });
  await queue.add("job", "high", { priority: 1 });
  await queue.add("job", "first");
  await queue.add("job", "before", { lifo: true });
  const seen = [];
  const last = new Promise((resolve) => {
    work(async (job) => {
      seen.push(job.data);
      if (seen.length === 4) resolve();
    });
  });
  await queue.resume();
  await last;
  assert.deepEqual(seen, ["before", "first", "high", "low"]);
});

test("a delayed job waits, and can be promoted", async () => {
  const worker = work(async (job) => job.data);
  await worker.waitUntilReady();
  const soon = await queue.add("job", "soon", { delay: 300 });
  assert.equal(await soon.waitUntilFinished(events, patience), "soon");
  const { finishedOn, timestamp } = await queue.getJob(soon.id);
  assert.ok(finishedOn - timestamp >= 300);

  const late = await queue.add("job", "late", { delay: 3_600_000 });
  assert.equal(await late.getState(), "delayed");
  await late.promote();
  assert.equal(await late.waitUntilFinished(events, patience), "late");
});

test("a job that is postponed by its processor comes again", async () => {
  work(async (job, token) => {
    if (job.data.step === "second") return "done";
    await job.updateData({ step: "second" });
    await job.moveToDelayed(Date.now() + 50, token);
    throw new DelayedError();
  });
  const job = await queue.add("job", { step: "first" });
  assert.equal(await job.waitUntilFinished(events, patience), "done");
});

test("failed jobs are tried again, with backoff, until they are given up", async () => {
  work(async (job) => {
    if (job.data === "never" || job.attemptsMade < 2) throw new Error(`attempt ${job.attemptsMade}`);
    return job.attemptsMade;
  });
  const backoff = { type: "exponential", delay: 10 };
  const twice = await queue.add("job", "twice", { attempts: 3, backoff });
  assert.equal(await twice.waitUntilFinished(events, patience), 2);
  const never = await queue.add("job", "never", { attempts: 2, backoff });
  await assert.rejects(never.waitUntilFinished(events, patience), /attempt 1/);
  assert.equal(await never.getState(), "failed");
  const [failed] = await queue.getFailed();
  assert.equal(failed.attemptsMade, 2);
  assert.equal(failed.stacktrace.length, 2);
});

test("a failed job is retried by hand, an unrecoverable one only so", async () => {
  let works = false;
  work(async () => {
    if (!works) throw new UnrecoverableError("not yet");
    return "at last";
  });
  const job = await queue.add("job", null, { attempts: 5 });
  await assert.rejects(job.waitUntilFinished(events, patience), /not yet/);
  works = true;
  const completed = next(events, "completed", ({ jobId }) => jobId === job.id);
  await job.retry();
  assert.equal((await completed)[0].returnvalue, "at last");
  assert.equal(await queue.getFailedCount(), 0);
});

test("job schedulers repeat by interval and by pattern", async () => {
  let done = 0;
  const thrice = new Promise((resolve) => {
    work(async (job) => {
      if (job.name === "tick" && ++done === 3) resolve();
    });
  });
  await queue.upsertJobScheduler("every", { every: 100 }, { name: "tick" });
  await queue.upsertJobScheduler("nightly", { pattern: "0 3 * * *" }, { name: "night" });
  await thrice;
  const schedulers = await queue.getJobSchedulers();
  assert.deepEqual(schedulers.map(({ key }) => key).sort(), ["every", "nightly"]);
  assert.equal(await queue.removeJobScheduler("every"), true);
  assert.equal(await queue.removeJobScheduler("every"), false);
  assert.equal((await queue.getJobScheduler("nightly")).pattern, "0 3 * * *");
});

test("a flow: parents run after their children and see their results", async () => {
  const flows = open(new FlowProducer({ connection }));
  open(new Worker("leaves", async (job) => job.data, { connection, concurrency: 4 }));
  work(async (job) => {
    const results = Object.values(await job.getChildrenValues());
    return results.reduce((sum, value) => sum + value, 0);
  });
  const leaf = (data) => ({ name: "leaf", queueName: "leaves", data });
  const { job } = await flows.add({
    name: "root",
    queueName: "jobs",
    children: [
      leaf(1),
      { name: "middle", queueName: "jobs", children: [leaf(10), leaf(20)] },
      leaf(100),
    ],
  });
  assert.equal(await job.waitUntilFinished(events, patience), 131);
  const tree = await flows.getFlow({ id: job.id, queueName: "jobs" });
  assert.equal(tree.children.length, 3);
});

test("a child that fails takes its parent along", async () => {
  const flows = open(new FlowProducer({ connection }));
  work(async (job) => {
    if (job.name === "child") throw new Error("no luck");
  });
  const { job } = await flows.add({
    name: "parent",
    queueName: "jobs",
    children: [{ name: "child", queueName: "jobs", opts: { failParentOnFailure: true } }],
  });
  await assert.rejects(job.waitUntilFinished(events, patience), /failed/);
});

test("a rate limit holds jobs back", async () => {
  const starts = [];
  const all = new Promise((resolve) => {
    const limiter = { max: 2, duration: 200 };
    work(
      async () => {
        starts.push(Date.now());
        if (starts.length === 5) resolve();
      },
      { limiter },
    );
  });
  const begun = Date.now();
  await queue.addBulk([...Array(5).keys()].map((data) => ({ name: "limited", data })));
  await all;
  // Two, two and one: at least two whole durations, less what a key's deadline is rounded. The first one
  // begins before the worker hears of it.
  assert.ok(starts[4] - begun >= 390, `took ${starts[4] - begun} ms`);
});

test("deduplication, ids, progress, logs and data of a job", async () => {
  const first = await queue.add("job", 1, { jobId: "mine" });
  assert.equal((await queue.add("job", 2, { jobId: "mine" })).id, first.id);
  const deduplication = { id: "same", ttl: 60_000 };
  const once = await queue.add("job", 3, { deduplication });
  assert.equal((await queue.add("job", 4, { deduplication })).id, once.id);
  assert.equal(await queue.getWaitingCount(), 2);
  const progress = next(events, "progress", ({ jobId }) => jobId === "mine");
  work(async (job) => {
    await job.updateProgress({ percent: 42 });
    await job.log("begun");
    await job.log("ended");
    return job.data;
  });
  assert.equal(await first.waitUntilFinished(events, patience), 1);
  assert.deepEqual((await progress)[0].data, { percent: 42 });
  assert.deepEqual((await queue.getJobLogs("mine")).logs, ["begun", "ended"]);
});

test("events tell the life of a job", async () => {
  const names = ["added", "waiting", "active", "completed"];
  const told = Promise.all(names.map((name) => next(events, name, ({ jobId }) => jobId === "told")));
  work(async () => "result");
  await queue.add("job", null, { jobId: "told" });
  assert.equal((await told)[3][0].returnvalue, "result");
});

test("pause and resume, drain and clean", async () => {
  const worker = work(async () => {});
  await worker.waitUntilReady();
  await queue.pause();
  assert.equal(await queue.isPaused(), true);
  const job = await queue.add("job", 1);
  assert.equal(await job.getState(), "waiting");
  await queue.resume();
  await job.waitUntilFinished(events, patience);
  assert.deepEqual(await queue.clean(0, 100, "completed"), [job.id]);
  await worker.close();
  await queue.addBulk([...Array(20).keys()].map((data) => ({ name: "job", data })));
  await queue.drain();
  assert.equal(await queue.count(), 0);
});

test("a job whose worker died is taken by another one", async () => {
  const begun = new Promise((resolve) => {
    const dying = work(async () => new Promise(() => resolve(dying)), {
      lockDuration: 500,
      skipLockRenewal: true,
      skipStalledCheck: true,
    });
  });
  const job = await queue.add("job", 7);
  const dying = await begun;
  dying.disconnect();
  opened.splice(opened.indexOf(dying), 1);
  work(async ({ data }) => data * 6, { stalledInterval: 500 });
  assert.equal(await job.waitUntilFinished(events, patience), 42);
});

test("obliterate leaves nothing", async () => {
  work(async () => {});
  const jobs = await queue.addBulk([...Array(30).keys()].map((data) => ({ name: "job", data })));
  await Promise.all(jobs.map((job) => job.waitUntilFinished(events, patience)));
  await queue.add("job", "late", { delay: 3_600_000 });
  await queue.pause();
  await queue.obliterate({ force: true });
  const left = await redis.keys("bull:jobs:*");
  assert.deepEqual(left.filter((key) => !/:(events|stalled-check)$/.test(key)), []);
});
