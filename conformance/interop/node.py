"""The Node process that runs mqtt.js, stompjs and coap-node."""

import itertools
import json
import queue
import subprocess
import threading
from pathlib import Path

from .client import TIMEOUT, Silence


class Node:
    """Calls into node/peer.js."""

    def __init__(self):
        self._process = subprocess.Popen(
            ["node", str(Path(__file__).parent / "node" / "peer.js")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ids = itertools.count(1)
        self._answers = {}
        self._listeners = {}
        self._writing = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def call(self, operation: str, timeout: float = TIMEOUT, **arguments):
        """Performs an operation of peer.js and returns its value."""
        number = next(self._ids)
        answer = self._answers[number] = queue.SimpleQueue()
        line = json.dumps({"id": number, "op": operation, **arguments})
        with self._writing:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        try:
            reply = answer.get(timeout=timeout)
        except queue.Empty:
            raise Silence(f"{operation} got no answer within {timeout:g} s") from None
        finally:
            del self._answers[number]
        if "error" in reply:
            raise RuntimeError(f"{operation}: {reply['error']}")
        return reply["value"]

    def listen(self, client: str, listener):
        """Hands every event of the client to the listener."""
        self._listeners[client] = listener

    def close(self):
        self._process.stdin.close()
        try:
            self._process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _read(self):
        for line in self._process.stdout:
            if not line.startswith("{"):
                continue  # a library's own chatter
            event = json.loads(line)
            if "id" in event:
                answer = self._answers.get(event["id"])
                if answer is not None:
                    answer.put(event)
            elif event["client"] in self._listeners:
                self._listeners[event["client"]](event)
