"""RQ: queues, workers that fork, schedulers, dependencies, results as streams."""

import os
import time
import unittest
from datetime import timedelta

import redis
from rq import Callback, Queue, Repeat, Retry, Worker
from rq.group import Group
from rq.job import Dependency, Job, JobStatus
from rq.registry import ScheduledJobRegistry

PORT = int(os.environ["DARTER_PORT"])
PATIENCE = 60


def add(left, right):
    return left + right


def fail():
    raise ValueError("on purpose")


def succeed_later(key, attempts):
    """Fails until it has been tried often enough."""
    client = redis.Redis(port=PORT)
    if client.incr(key) < attempts:
        raise ValueError("not yet")
    return "at last"


def note(key, what):
    redis.Redis(port=PORT).rpush(key, what)


def noted(job, connection, result, *_):
    connection.set(f"noted:{job.id}", str(result))


def until(holds):
    """Returns when `holds` does."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


class Rq(unittest.TestCase):
    def setUp(self):
        self.redis = redis.Redis(port=PORT)
        self.redis.flushall()
        self.queue = Queue(connection=self.redis)

    def tearDown(self):
        self.redis.close()

    def work(self, *queues, **options):
        """A worker that ends when there is nothing left to do."""
        worker = Worker(list(queues) or [self.queue], connection=self.redis)
        return worker.work(burst=True, logging_level="CRITICAL", **options)

    def test_jobs_and_their_results(self):
        jobs = [self.queue.enqueue(add, number, 1) for number in range(5)]
        self.assertEqual(len(self.queue), 5)
        self.assertTrue(self.work())
        self.assertEqual([job.return_value(refresh=True) for job in jobs], [1, 2, 3, 4, 5])
        self.assertEqual(jobs[0].get_status(), JobStatus.FINISHED)
        self.assertEqual(set(self.queue.finished_job_registry.get_job_ids()), {j.id for j in jobs})
        result = jobs[0].latest_result()
        self.assertEqual((result.type, result.return_value), (result.Type.SUCCESSFUL, 1))
        self.assertEqual(len(self.queue), 0)

    def test_many_jobs_at_once(self):
        datas = [Queue.prepare_data(note, ("seen", number)) for number in range(8)]
        self.queue.enqueue_many(datas)
        self.work()
        self.assertEqual([int(n) for n in self.redis.lrange("seen", 0, -1)], list(range(8)))

    def test_a_job_that_fails(self):
        job = self.queue.enqueue(fail)
        self.work()
        self.assertEqual(job.get_status(), JobStatus.FAILED)
        self.assertIn("on purpose", job.latest_result().exc_string)
        self.assertIn(job.id, self.queue.failed_job_registry)
        self.queue.failed_job_registry.requeue(job)
        self.assertEqual(job.get_status(), JobStatus.QUEUED)
        self.work()
        self.assertEqual(job.get_status(), JobStatus.FAILED)

    def test_retries(self):
        job = self.queue.enqueue(succeed_later, "attempts", 3, retry=Retry(max=3))
        self.work()
        self.assertEqual(job.return_value(refresh=True), "at last")
        self.assertEqual(self.redis.get("attempts"), b"3")

    def test_scheduled_jobs(self):
        job = self.queue.enqueue_in(timedelta(seconds=1), add, 1, 2)
        late = self.queue.enqueue_in(timedelta(hours=1), add, 1, 2)
        registry = ScheduledJobRegistry(queue=self.queue)
        self.assertEqual(registry.count, 2)
        self.assertFalse(self.work())

        def done():
            self.work(with_scheduler=True)
            return job.get_status(refresh=True) == JobStatus.FINISHED

        until(done)
        self.assertEqual(job.return_value(refresh=True), 3)
        self.assertEqual(registry.get_job_ids(), [late.id])

    def test_repeated_jobs(self):
        self.queue.enqueue(note, "seen", "x", repeat=Repeat(times=2))
        self.work()
        self.assertEqual(self.redis.lrange("seen", 0, -1), [b"x"] * 3)

    def test_dependencies(self):
        first = self.queue.enqueue(note, "order", "first")
        second = self.queue.enqueue(note, "order", "second", depends_on=first)
        both = self.queue.enqueue(note, "order", "both", depends_on=[first, second])
        self.assertEqual(both.get_status(), JobStatus.DEFERRED)
        self.work()
        self.assertEqual(self.redis.lrange("order", 0, -1), [b"first", b"second", b"both"])

    def test_dependants_of_a_job_that_fails(self):
        bad = self.queue.enqueue(fail)
        never = self.queue.enqueue(add, 1, 1, depends_on=bad)
        anyway = self.queue.enqueue(
            add, 2, 2, depends_on=Dependency(jobs=[bad], allow_failure=True)
        )
        self.work()
        self.assertEqual(anyway.return_value(refresh=True), 4)
        self.assertEqual(never.get_status(), JobStatus.DEFERRED)

    def test_callbacks_and_groups(self):
        job = self.queue.enqueue(add, 3, 4, on_success=Callback(noted))
        group = Group.create(connection=self.redis)
        group.enqueue_many(self.queue, [Queue.prepare_data(add, (n, n)) for n in range(3)])
        self.work()
        self.assertEqual(self.redis.get(f"noted:{job.id}"), b"7")
        values = sorted(job.return_value(refresh=True) for job in group.get_jobs())
        self.assertEqual(values, [0, 2, 4])

    def test_several_queues_and_order(self):
        low, high = Queue("low", connection=self.redis), Queue("high", connection=self.redis)
        low.enqueue(note, "order", "low")
        high.enqueue(note, "order", "high")
        high.enqueue(note, "order", "front", at_front=True)
        self.work(high, low)
        self.assertEqual(self.redis.lrange("order", 0, -1), [b"front", b"high", b"low"])

    def test_cancelling_and_deleting(self):
        cancelled = self.queue.enqueue(add, 1, 1)
        cancelled.cancel()
        deleted = self.queue.enqueue(add, 1, 1)
        deleted.delete()
        self.assertFalse(self.work())
        self.assertEqual(cancelled.get_status(), JobStatus.CANCELED)
        self.assertFalse(Job.exists(deleted.id, connection=self.redis))

    def test_a_waiting_worker_is_woken(self):
        """Not burst: it blocks on its queues, and ends after two jobs."""
        child = os.fork()
        if child == 0:
            client = redis.Redis(port=PORT)
            queue = Queue(connection=client)
            Worker([queue], connection=client).work(max_jobs=2, logging_level="CRITICAL")
            os._exit(0)
        until(lambda: any(c["cmd"] in ("blmove", "brpop", "blpop") for c in self.redis.client_list()))
        jobs = [self.queue.enqueue(add, 20, 1), self.queue.enqueue(add, 20, 2)]
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual([job.return_value(refresh=True) for job in jobs], [21, 22])
        self.assertEqual(Worker.all(connection=self.redis), [])


if __name__ == "__main__":
    unittest.main()
