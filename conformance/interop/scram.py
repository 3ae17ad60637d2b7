"""SCRAM in MQTT 5: mqtt.js carries the messages, scramp makes and checks them."""

import base64
import queue
import signal
import subprocess

from scramp import ScramClient

from .client import TIMEOUT, Silence, unique
from .server import START, Watersmeet

MECHANISMS = ["SCRAM-SHA-256", "SCRAM-SHA-512"]

BAD_CREDENTIALS, NOT_AUTHORIZED = 0x86, 0x87


def checks(board, binary, node):
    board.section("SCRAM, with mqtt.js and scramp")
    with Watersmeet(binary, more=f'[access]\nanonymous = "never"\n\n{entry(binary, "ann", "pen cil")}') as server:
        port = server.ports["mqtt"]
        for mechanism in MECHANISMS:
            board.check(f"{mechanism}: both sides prove that they know the password", proves, node, port, mechanism)
            board.check(f"{mechanism}: again, over the same connection", proves_again, node, port, mechanism)
            board.check(f"{mechanism}: a wrong password or name is refused", is_refused, node, port, mechanism)
        board.check("who came in with a password that is changed is closed", is_closed, node, server, binary)


def entry(binary, name, password) -> str:
    """What `watersmeet passwd` prints for the configuration."""
    done = subprocess.run([binary, "passwd", name], input=password + "\n", capture_output=True, text=True, timeout=START)
    if done.returncode != 0 or "SCRAM-SHA-512" not in done.stdout:
        raise AssertionError(f"watersmeet passwd: {done.stdout}{done.stderr}")
    return done.stdout


class Exchange:
    """A connection of mqtt.js that names a method of authentication."""

    def __init__(self, node, port, mechanism):
        self._node, self._port, self._mechanism = node, port, mechanism
        self._client, self._events = unique("scram-"), queue.SimpleQueue()
        node.listen(self._client, self._events.put)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._node.call("mqtt.close", client=self._client)

    def log_in(self, name, password):
        """The event that ends the exchange; scramp has checked what the server proves."""
        where = {"host": "127.0.0.1", "port": self._port, "protocol": "mqtt"}
        return self._run(name, password, "mqtt.authenticate", where=where)

    def log_in_again(self, name, password):
        return self._run(name, password, "mqtt.authenticate again")

    def event(self):
        try:
            return self._events.get(timeout=TIMEOUT)
        except queue.Empty:
            raise Silence(f"nothing from mqtt.js within {TIMEOUT:g} s") from None

    def _run(self, name, password, operation, **more):
        scram = ScramClient([self._mechanism], name, password)
        first = _coded(scram.get_client_first())
        self._node.call(operation, client=self._client, method=self._mechanism, data=first, **more)
        event = self.event()
        if (event["event"], event.get("code")) != ("auth", 0x18):
            return event
        scram.set_server_first(base64.b64decode(event["data"]).decode())
        self._node.call("mqtt.answer", client=self._client, data=_coded(scram.get_client_final()))
        event = self.event()
        if event.get("code") == 0:
            scram.set_server_final(base64.b64decode(event["data"]).decode())
        return event


def proves(node, port, mechanism):
    with Exchange(node, port, mechanism) as exchange:
        _expect(exchange.log_in("ann", "pen cil"), "connack", 0)


def proves_again(node, port, mechanism):
    with Exchange(node, port, mechanism) as exchange:
        _expect(exchange.log_in("ann", "pen cil"), "connack", 0)
        _expect(exchange.log_in_again("ann", "pen cil"), "auth", 0)
        _expect(exchange.log_in_again("ann", "pencil"), "disconnect", NOT_AUTHORIZED)


def is_refused(node, port, mechanism):
    for name, password in [("ann", "pencil"), ("eve", "pen cil")]:
        with Exchange(node, port, mechanism) as exchange:
            _expect(exchange.log_in(name, password), "error", BAD_CREDENTIALS)


def is_closed(node, server, binary):
    with Exchange(node, server.ports["mqtt"], MECHANISMS[0]) as exchange:
        _expect(exchange.log_in("ann", "pen cil"), "connack", 0)
        config = server.log.parent / "watersmeet.toml"
        before = config.read_text().split("[[access.users]]")[0]
        config.write_text(before + entry(binary, "ann", "another"))
        server.process.send_signal(signal.SIGHUP)
        _expect(exchange.event(), "disconnect", NOT_AUTHORIZED)
    with Exchange(node, server.ports["mqtt"], MECHANISMS[0]) as exchange:
        _expect(exchange.log_in("ann", "another"), "connack", 0)


def _expect(event, name, code):
    if (event["event"], event.get("code")) != (name, code):
        raise AssertionError(f"expected {name} with {code:#x}, but {event}")


def _coded(message) -> str:
    return base64.b64encode(message.encode()).decode()
