"""What every client under test looks like to the checks."""

import itertools
import queue
import threading
import time
from dataclasses import dataclass

TIMEOUT = 10.0
"""The longest any single event is waited for, in seconds."""

_numbers = itertools.count(1)


def unique(prefix: str) -> str:
    """A name that no other call returns."""
    return f"{prefix}{next(_numbers)}"


class Silence(Exception):
    """What was awaited did not come in time."""


class Impossible(Exception):
    """This machine lacks what a check takes."""


@dataclass
class Message:
    """What a subscriber was given."""

    payload: bytes
    topic: str | None = None
    retain: bool | None = None
    qos: int | None = None
    content_type: str | None = None


class Subscription:
    """A subscription that the server has confirmed."""

    def __init__(self, close):
        self._messages = queue.SimpleQueue()
        self._close = close

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._close()

    def put(self, message: Message):
        self._messages.put(message)

    def receive(self, timeout: float = TIMEOUT) -> Message:
        """The next message; raises Silence if none comes."""
        try:
            message = self._messages.get(timeout=timeout)
        except queue.Empty:
            raise Silence(f"no message within {timeout:g} s") from None
        if isinstance(message, Exception):
            raise message
        return message

    def expect(self, payload: bytes, timeout: float = TIMEOUT) -> Message:
        """The next message, which must carry this payload."""
        message = self.receive(timeout)
        if message.payload != payload:
            raise AssertionError(f"expected {shorten(payload)}, got {shorten(message.payload)}")
        return message

    def expect_none(self):
        """Fails if a message is there that nobody took."""
        if not self._messages.empty():
            raise AssertionError(f"one message too many: {self.receive(0)}")


class Client:
    """One of other people's clients. Each call opens a connection of its own and is bounded by TIMEOUT."""

    name = ""
    """As the table shows it."""
    protocol = ""
    """The row or column it stands in."""

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, content_type: str | None = None):
        """Publishes and waits until the server has confirmed it."""
        raise NotImplementedError

    def subscribe(self, topic: str) -> Subscription:
        """Subscribes and waits until the server has confirmed it."""
        raise NotImplementedError


def shorten(payload: bytes) -> str:
    """A payload as a failure shows it."""
    return repr(payload) if len(payload) <= 80 else f"{payload[:60]!r}… of {len(payload)} bytes"


def wait(event: threading.Event, what: str, timeout: float = TIMEOUT):
    """Waits for the event or raises Silence."""
    if not event.wait(timeout):
        raise Silence(f"no {what} within {timeout:g} s")


class Lines:
    """The lines a program prints, as they come."""

    def __init__(self, stream):
        self.seen = []
        self._taken = 0
        self._more = threading.Condition()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def until(self, wanted, what: str, timeout: float = TIMEOUT) -> str:
        """Takes lines up to the first that is wanted; raises Silence if none is."""
        end = time.monotonic() + timeout
        with self._more:
            while True:
                while self._taken < len(self.seen):
                    self._taken += 1
                    if wanted(self.seen[self._taken - 1]):
                        return self.seen[self._taken - 1]
                if not self._more.wait(end - time.monotonic()):
                    raise Silence(f"{what} did not come within {timeout:g} s, but {self.seen}")

    def _read(self, stream):
        for line in stream:
            with self._more:
                self.seen.append(line.rstrip("\n"))
                self._more.notify_all()
