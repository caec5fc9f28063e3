"""Celery with Redis as its broker and for its results; the worker is a process of its own."""

import os
import subprocess
import sys
import tempfile
import time
import unittest

from celery import chain, chord, group

# Beside this file, under the name by which the worker knows it.
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import celery_tasks as tasks  # noqa: E402

PATIENCE = 90


def until(holds):
    """Returns when `holds` does."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


class WithCelery(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.notes = tasks.client()
        cls.notes.flushall()
        cls.log = tempfile.TemporaryFile()
        options = ["--concurrency", "3", "--loglevel", "INFO", "--hostname", "worker@test"]
        cls.worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "--app", "celery_tasks", "worker", *options],
            cwd=HERE,
            stdout=cls.log,
            stderr=cls.log,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        # The first task waits until the worker is there.
        try:
            tasks.add.delay(1, 1).get(timeout=PATIENCE)
        except Exception:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.worker.terminate()
        status = cls.worker.wait(PATIENCE)
        cls.log.seek(0)
        text = cls.log.read().decode()
        cls.log.close()
        cls.notes.close()
        if status != 0:
            sys.stderr.write(text)

    def test_results(self):
        self.assertEqual(tasks.add.delay(2, 3).get(timeout=PATIENCE), 5)
        results = [tasks.add.delay(number, number) for number in range(50)]
        self.assertEqual([r.get(timeout=PATIENCE) for r in results], [2 * n for n in range(50)])

    def test_a_task_that_fails(self):
        result = tasks.fail.delay("on purpose")
        with self.assertRaisesRegex(ValueError, "on purpose"):
            result.get(timeout=PATIENCE)
        self.assertEqual(result.state, "FAILURE")
        self.assertIn("on purpose", result.traceback)

    def test_a_group(self):
        result = group(tasks.add.s(number, 1) for number in range(20)).apply_async()
        self.assertEqual(result.get(timeout=PATIENCE), [number + 1 for number in range(20)])
        self.assertTrue(result.successful())

    def test_a_chain(self):
        result = chain(tasks.add.s(1, 2), tasks.add.s(3), tasks.add.s(4)).apply_async()
        self.assertEqual(result.get(timeout=PATIENCE), 10)
        self.assertEqual(result.parent.get(timeout=PATIENCE), 6)

    def test_chords(self):
        for count in (1, 2, 25):
            header = [tasks.add.s(number, number) for number in range(count)]
            result = chord(header)(tasks.total.s())
            self.assertEqual(result.get(timeout=PATIENCE), count * (count - 1))
        nested = chain(chord([tasks.add.s(1, 1), tasks.add.s(2, 2)], tasks.total.s()), tasks.add.s(10))
        self.assertEqual(nested.apply_async().get(timeout=PATIENCE), 16)

    def test_a_chord_whose_header_fails(self):
        result = chord([tasks.add.s(1, 1), tasks.fail.s("in the header")])(tasks.total.s())
        with self.assertRaisesRegex(Exception, "in the header"):
            result.get(timeout=PATIENCE)

    def test_retries(self):
        result = tasks.succeed_later.delay("attempts", 4)
        self.assertEqual(result.get(timeout=PATIENCE), 3)
        self.assertEqual(self.notes.get("attempts"), "4")

    def test_countdown(self):
        begin = time.time()
        result = tasks.add.apply_async((1, 2), countdown=0.5)
        self.assertEqual(result.get(timeout=PATIENCE), 3)
        self.assertGreaterEqual(time.time() - begin, 0.5)

    def test_revoking_a_task_that_waits(self):
        result = tasks.note.apply_async(("revoked", "never"), countdown=3600)
        inspect = self.inspect()
        until(lambda: any(t["request"]["id"] == result.id for t in self.scheduled(inspect)))
        result.revoke()
        until(lambda: result.id in (inspect.revoked() or {}).get("worker@test", ()))
        self.assertEqual(self.notes.llen("revoked"), 0)

    @staticmethod
    def inspect():
        """Asks the worker; done with the first answer, which is the only one."""
        return tasks.app.control.inspect(timeout=5, limit=1)

    @staticmethod
    def scheduled(inspect):
        return (inspect.scheduled() or {}).get("worker@test", [])

    def test_states_on_the_way_and_revoking_what_runs(self):
        result = tasks.progress.delay("go on")
        until(lambda: result.state == "PROGRESS")
        self.assertEqual(result.info, {"percent": 50})
        self.notes.rpush("go on", "x")
        self.assertEqual(result.get(timeout=PATIENCE), "done")

        result = tasks.progress.delay("nobody says")
        until(lambda: result.state == "PROGRESS")
        result.revoke(terminate=True)
        with self.assertRaisesRegex(Exception, "terminated|revoked"):
            result.get(timeout=PATIENCE)

    def test_asking_the_worker(self):
        replies = tasks.app.control.ping(timeout=5, limit=1)
        self.assertEqual(replies, [{"worker@test": {"ok": "pong"}}])
        self.assertIn("celery_tasks.add", self.inspect().registered()["worker@test"])

    def test_priorities_and_queues_of_messages(self):
        with tasks.app.connection_for_read() as connection:
            queue = connection.SimpleQueue("letters")
            for number in range(10):
                queue.put({"number": number})
            numbers = []
            for _ in range(10):
                message = queue.get(timeout=PATIENCE)
                numbers.append(message.payload["number"])
                message.ack()
            queue.close()
        self.assertEqual(numbers, list(range(10)))

    def test_forgetting_a_result(self):
        result = tasks.add.delay(1, 1)
        result.get(timeout=PATIENCE)
        result.forget()
        self.assertEqual(tasks.app.AsyncResult(result.id).state, "PENDING")


if __name__ == "__main__":
    unittest.main()
