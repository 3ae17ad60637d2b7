"""CoAP bodies in blocks: a MiB up and down by every client, and what goes with it."""

import asyncio
import base64
import random
import subprocess
import tempfile
from pathlib import Path

import aiocoap

from .client import shorten, unique
from .coap import LibCoap, uri
from .mqtt import PahoConnection
from .server import Watersmeet

MIB = 1 << 20
PATIENCE = 60.0
"""The longest a whole body may take, in seconds."""

MORE = """
[limits]
packet = "4MB"
"""
"""A MiB with its topic is more than a packet may have by default."""

QUERIES = {
    "": True,
    "?rt=core.ps": True,
    "?rt=core.p*": True,
    "?rt=core.ps.coll": True,
    "?href=/pub*": True,
    "?ct=40": True,
    "?rt=core": False,
    "?foo=*": False,
}
"""Queries of /.well-known/core, and whether they select the topic collection."""


class Libcoap:
    """libcoap's coap-client; `flags` are its own."""

    def __init__(self, port, *flags):
        self.port, self.flags, self.command = port, flags, LibCoap(port).command

    def put(self, topic, body):
        with tempfile.NamedTemporaryFile() as file:
            file.write(body)
            file.flush()
            output = self._run("-v", "6", "-m", "put", "-f", file.name, uri(self.port, topic, True))
        if b" c:2.04" not in output:
            raise AssertionError(f"it was not told that the body is there: {output[-300:]!r}")

    def get(self, topic):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "body"
            output = self._run("-m", "get", "-o", str(path), uri(self.port, topic))
            if not path.exists():
                raise AssertionError(f"nothing came: {output[-300:]!r}")
            return path.read_bytes()

    def _run(self, *arguments):
        command = [*self.command, "-B", f"{PATIENCE:g}", "-b", "1024", *self.flags, *arguments]
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE)
        return done.stdout + done.stderr


class Aiocoap:
    """aiocoap."""

    def __init__(self, loop, port):
        self.loop, self.port = loop, port

    def put(self, topic, body):
        response = self.loop.run(self._request(aiocoap.PUT, uri(self.port, topic, True), body), PATIENCE)
        if response.code != aiocoap.CHANGED:
            raise AssertionError(f"{response.code} {response.payload!r}")

    def get(self, topic):
        response = self.loop.run(self._request(aiocoap.GET, uri(self.port, topic), b""), PATIENCE)
        if response.code != aiocoap.CONTENT:
            raise AssertionError(f"{response.code} {response.payload!r}")
        return response.payload

    async def _request(self, code, target, payload):
        context = await aiocoap.Context.create_client_context()
        try:
            return await context.request(aiocoap.Message(code=code, uri=target, payload=payload)).response
        finally:
            await context.shutdown()


class NodeCoap:
    """node-coap, the client of coap-node, in a version of today."""

    def __init__(self, node, port):
        self.node, self.port = node, port

    def put(self, topic, body):
        self._request("PUT", topic, "2.04", payload=base64.b64encode(body).decode(), exponent=6)

    def get(self, topic):
        return self._request("GET", topic, "2.05", exponent=6)

    def _request(self, method, topic, code, **more):
        more["query"] = "retain=true" if method == "PUT" else ""
        arguments = {"port": self.port, "method": method, "path": f"/ps/{topic}", **more}
        answer = self.node.call("coap.request", PATIENCE, **arguments)
        if answer["code"] != code:
            raise AssertionError(f"{answer['code']} {base64.b64decode(answer['payload'])!r}")
        return base64.b64decode(answer["payload"])


def checks(board, binary, node, loop):
    title = "CoAP: a MiB in blocks"
    if not any(map(board.wants, (title, "CoAP: observing", "CoAP: discovery", "CoAP: losses"))):
        return
    with Watersmeet(binary, more=MORE) as server:
        ports = server.ports
        clients = [
            ("coap-client", Libcoap(ports["coap"])),
            ("aiocoap", Aiocoap(loop, ports["coap"])),
            ("node-coap", NodeCoap(node, ports["coap"])),
        ]
        board.table(title, clients, clients, lambda one, other: passes(ports, one, other), "PUT \\ GET")
        board.section("CoAP in blocks")
        board.check("CoAP: observing a body of 100 KB by aiocoap", observes, ports, loop)
        board.check("CoAP: losses, coap-client with one datagram in ten", passes, ports, *lossy(ports["coap"]))
        for query, selected in QUERIES.items():
            board.check(f"CoAP: discovery by coap-client, .well-known/core{query}", discovers, ports, query, selected)


def lossy(port):
    """A client that loses what it sends, for a body of which not too much is lost."""
    client = Libcoap(port, "-l", "10%")
    return client, client, 16 << 10


def passes(ports, one, other, length=MIB):
    """What one puts comes to a subscriber of MQTT and to the other."""
    topic, body = unique("interop/blocks/"), random.Random(length).randbytes(length)
    with PahoConnection(ports["mqtt"], 5) as watcher:
        watcher.subscribe(topic)
        one.put(topic, body)
        watcher.subscription.expect(body)
        watcher.subscription.expect_none()
    got = other.get(topic)
    if got != body:
        raise AssertionError(f"got {len(got)} bytes, {shorten(got)}")


def observes(ports, loop):
    """Every notification brings the whole body, one after the other."""
    topic = unique("interop/blocks/")
    bodies = [random.Random(number).randbytes(100_000) for number in range(3)]
    with PahoConnection(ports["mqtt"], 5) as publisher:
        publisher.publish(topic, bodies[0], retain=True)
        loop.run(_observe(ports["coap"], topic, publisher, bodies), PATIENCE)


async def _observe(port, topic, publisher, bodies):
    context = await aiocoap.Context.create_client_context()
    try:
        request = context.request(aiocoap.Message(code=aiocoap.GET, uri=uri(port, topic), observe=0))
        response = await request.response
        if response.payload != bodies[0]:
            raise AssertionError(f"the first answer is {shorten(response.payload)}")
        notifications = aiter(request.observation)
        for body in bodies[1:]:
            await asyncio.to_thread(publisher.publish, topic, body, retain=True)
            notification = await anext(notifications)
            if notification.payload != body:
                raise AssertionError(f"the notification is {shorten(notification.payload)}")
    finally:
        await context.shutdown()


def discovers(ports, query, selected):
    target = f"coap://127.0.0.1:{ports['coap']}/.well-known/core{query}"
    command = [*LibCoap(ports["coap"]).command, "-B", "5", "-m", "get", target]
    done = subprocess.run(command, capture_output=True, timeout=10)
    if (b"</pubsub>" in done.stdout) != selected:
        raise AssertionError(f"{done.stdout!r} {done.stderr!r}")
