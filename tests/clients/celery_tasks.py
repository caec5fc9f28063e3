"""The application that test_celery.py and its worker share."""

import os

import redis
from celery import Celery

PORT = os.environ["DARTER_PORT"]

app = Celery(broker=f"redis://127.0.0.1:{PORT}/0", backend=f"redis://127.0.0.1:{PORT}/1")


def client():
    """A place for notes beside broker and results."""
    return redis.Redis(port=int(PORT), db=2, decode_responses=True)


@app.task
def add(left, right):
    return left + right


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def fail(words):
    raise ValueError(words)


@app.task(bind=True, max_retries=5)
def succeed_later(self, key, attempts):
    if client().incr(key) < attempts:
        raise self.retry(countdown=0.05)
    return self.request.retries


@app.task
def note(key, what):
    return client().rpush(key, what)


@app.task(bind=True)
def progress(self, channel):
    """Says how far it is, and ends when it is told to."""
    self.update_state(state="PROGRESS", meta={"percent": 50})
    client().blpop(channel, 60)
    return "done"
