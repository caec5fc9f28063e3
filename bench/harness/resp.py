"""The little of RESP2 that a load generator needs: encode commands, count and read replies."""

import socket
from collections.abc import Iterable
from types import TracebackType

RECEIVE_BYTES = 1 << 18
CRLF = b"\r\n"


class ServerError(Exception):
    """The server answered with an error, with nonsense, or closed the connection."""


def encode(*arguments: bytes) -> bytes:
    """One command as an array of bulk strings."""
    parts = [b"*%d\r\n" % len(arguments)]
    parts += [b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in arguments]
    return b"".join(parts)


class Connection:
    """A blocking connection; every wait is bounded by `timeout_seconds`."""

    def __init__(self, port: int, timeout_seconds: float = 60.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pending = b""

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def call(self, *arguments: bytes) -> bytes:
        """Send one command; the reply must be a simple string, an integer or a bulk string."""
        self._socket.sendall(encode(*arguments))
        line = self.read_line()
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return self._read_exactly(int(rest) + 2)[:-2] if rest != b"-1" else b""
        if kind in (b"+", b":"):
            return rest
        raise ServerError(f"{arguments[0].decode()}: {line.decode(errors='replace')}")

    def send_batch(self, commands: bytes, reply_lines: int) -> None:
        """Send many commands at once and wait until `reply_lines` lines came back.

        The batch must be small enough (well under a megabyte of commands and of replies) for
        the kernel's socket buffers, because nothing is read while it is being sent.
        """
        self._socket.sendall(commands)
        previous_end = b"\n"
        while reply_lines > 0:
            received = self._receive()
            # A line that begins with "-" is an error; no other reply a load gets begins so.
            error = (previous_end + received).partition(b"\n-")[2]
            if error:
                raise ServerError(f"load: {error.partition(CRLF)[0].decode(errors='replace')}")
            reply_lines -= received.count(b"\n")
            previous_end = received[-1:]
        if reply_lines < 0:
            raise ServerError("load: more replies than commands")

    def send_batches(self, batches: Iterable[tuple[bytes, int]]) -> None:
        """`send_batch` for each pair of commands and expected reply lines."""
        for commands, reply_lines in batches:
            self.send_batch(commands, reply_lines)

    def exchange(self, commands: bytes, expected: bytes) -> None:
        """Send a batch whose replies are known to the byte; the cheapest exchange there is."""
        self.send(commands)
        self.expect(expected)

    def send(self, commands: bytes) -> None:
        """Send commands whose replies are read later."""
        self._socket.sendall(commands)

    def expect(self, expected: bytes) -> None:
        """Read replies that are known to the byte."""
        received = self._receive()
        while len(received) < len(expected):
            received += self._receive()
        if received != expected:
            raise ServerError(f"unexpected replies: {received[:100].decode(errors='replace')}")

    def is_bulk_there(self) -> bool:
        """Reads a bulk string and throws it away; whether it was one rather than null."""
        line = self.read_line()
        if line[:1] != b"$":
            raise ServerError(f"load: {line.decode(errors='replace')}")
        if line == b"$-1":
            return False
        self._read_exactly(int(line[1:]) + 2)
        return True

    def _receive(self) -> bytes:
        received = self._socket.recv(RECEIVE_BYTES)
        if not received:
            raise ServerError("the server closed the connection")
        return received

    def read_line(self) -> bytes:
        """The first line of a reply to what was sent."""
        while CRLF not in self._pending:
            self._pending += self._receive()
        line, self._pending = self._pending.split(CRLF, 1)
        return line

    def _read_exactly(self, count: int) -> bytes:
        while len(self._pending) < count:
            self._pending += self._receive()
        data, self._pending = self._pending[:count], self._pending[count:]
        return data
