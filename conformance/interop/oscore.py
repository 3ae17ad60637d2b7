"""OSCORE (RFC 8613): aiocoap, on contexts that both sides have from a file, across restarts of both."""

import asyncio
import json
import shutil
import tempfile
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiocoap

from .client import TIMEOUT, Silence, unique
from .mqtt import Paho
from .server import Watersmeet

SECRET, SALT, ID_CONTEXT = "0102030405060708090a0b0c0d0e0f10", "9e7ca92223786340", "37cbf3210017a2d3"

ALGORITHMS = ["AES-CCM-16-64-128", "AES-CCM-16-64-256", "AES-CCM-16-128-128", "AES-CCM-16-128-256", "A128GCM", "A256GCM"]

MIB = 1 << 20


class World:
    """A server that requires OSCORE, and a device for each algorithm."""

    def __init__(self, folder: Path):
        self.folder, self.contexts = folder, folder / "contexts.toml"
        for number, algorithm in enumerate(ALGORITHMS):
            self.add(f"device-{number}", number, algorithm)

    def add(self, name: str, number: int, algorithm: str = "AES-CCM-16-64-128"):
        """Makes a device, which the server knows too."""
        ours, theirs = f"{0x80 + number:02x}", f"{number:02x}"
        with self.contexts.open("a") as file:
            file.write(
                f'[[context]]\nclient_id = "{name}"\nmaster_secret = "{SECRET}"\nmaster_salt = "{SALT}"\n'
                f'sender_id = "{ours}"\nrecipient_id = "{theirs}"\nid_context = "{ID_CONTEXT}"\n'
                f'algorithm = "{algorithm}"\n'
            )
        self.contexts.chmod(0o600)
        (self.folder / name).mkdir()
        settings = {
            "secret_hex": SECRET,
            "salt_hex": SALT,
            "id-context_hex": ID_CONTEXT,
            "sender-id_hex": theirs,
            "recipient-id_hex": ours,
            "algorithm": algorithm,
        }
        (self.folder / name / "settings.json").write_text(json.dumps(settings))

    def configuration(self) -> str:
        return f'[coap.oscore]\ncontexts_file = "{self.contexts}"\nrequired = true\n[limits]\npacket = "2MB"\n'


@contextmanager
def world(binary):
    with tempfile.TemporaryDirectory(prefix="oscore-") as folder:
        made = World(Path(folder))
        (made.folder / "server").mkdir()
        with Watersmeet(binary, folder=made.folder / "server", more=made.configuration()) as server:
            yield made, server


class Device:
    """aiocoap with a context."""

    def __init__(self, context, base: str):
        self.context, self.base, self.observing = context, base, []

    async def ask(self, code, path, payload=b"", **options):
        message = aiocoap.Message(code=code, uri=f"{self.base}/{path}", payload=payload, **options)
        return await self.context.request(message).response

    async def observe(self, path) -> asyncio.Queue:
        """What is notified, the first answer too."""
        request = self.context.request(aiocoap.Message(code=aiocoap.GET, uri=f"{self.base}/{path}", observe=0))
        self.observing.append(request)
        queue, first = asyncio.Queue(), await request.response
        queue.put_nowait(first.payload)
        request.observation.register_callback(lambda message: queue.put_nowait(message.payload))
        request.observation.register_errback(queue.put_nowait)
        return queue


@asynccontextmanager
async def device(made: World, server, name: str, port: str = "coap"):
    """A run of a device, whose numbers and window are kept for the next."""
    transports = ["tcpclient"] if port == "coap-tcp" else None
    context = await aiocoap.Context.create_client_context(transports=transports and ["oscore", *transports])
    base = f"{'coap+tcp' if transports else 'coap'}://127.0.0.1:{server.ports[port]}"
    context.client_credentials.load_from_dict({f"{base}/*": {"oscore": {"basedir": str(made.folder / name)}}})
    try:
        yield Device(context, base)
    finally:
        await context.shutdown()
        for security in context.client_credentials.values():
            security._destroy()  # else it stores what it has used up when the interpreter likes


def checks(board, binary, loop):
    board.section("OSCORE")
    titles = {
        "with each algorithm a device publishes, reads and is a user of its own": speaks,
        "over TCP it is the same": streams,
        "a device of LwM2M registers as the client that its context names, and as no other": registers,
        "a device observes what MQTT publishes": observes,
        "1 MiB goes up and comes back in blocks": transfers,
        "who has no context, or another key, gets nothing": refuses,
        "a restart of either side is noticed, and what was recorded before is of no use": restarts,
        "a context that is added or taken out while the server runs counts at once": changes,
    }
    for title, check in titles.items():
        board.check(title, lambda check=check: check(binary, loop))


def expect(response, code, payload=None):
    if response.code != code or (payload is not None and response.payload != payload):
        raise AssertionError(f"{response.code} {response.payload[:80]!r} instead of {code} {payload and payload[:80]!r}")


def speaks(binary, loop):
    async def run(made, server):
        for name in [f"device-{number}" for number in range(len(ALGORITHMS))]:
            topic = unique("oscore-")
            async with device(made, server, name) as client:
                put = await client.ask(aiocoap.PUT, f"ps/{topic}?retain=true", b"21.5")
                expect(put, aiocoap.CHANGED)
                expect(await client.ask(aiocoap.GET, f"ps/{topic}"), aiocoap.CONTENT, b"21.5")
                expect(await client.ask(aiocoap.GET, f"ps/{topic}/none"), aiocoap.NOT_FOUND)

    with world(binary) as (made, server):
        loop.run(run(made, server), 3 * TIMEOUT)


def streams(binary, loop):
    topic = unique("oscore-")

    async def run(made, server):
        async with device(made, server, "device-0", "coap-tcp") as client:
            expect(await client.ask(aiocoap.PUT, f"ps/{topic}?retain=true", b"21.5"), aiocoap.CHANGED)
            expect(await client.ask(aiocoap.GET, f"ps/{topic}"), aiocoap.CONTENT, b"21.5")

    with world(binary) as (made, server):
        loop.run(run(made, server), 3 * TIMEOUT)


def registers(binary, loop):
    async def run(made, server):
        async with device(made, server, "device-0") as client:
            for endpoint, code in [("device-1", aiocoap.FORBIDDEN), ("device-0", aiocoap.CREATED)]:
                path = f"rd?ep={endpoint}&lt=300&lwm2m=1.0&b=U"
                expect(await client.ask(aiocoap.POST, path, b"</3/0>", content_format=40), code)

    with world(binary) as (made, server):
        loop.run(run(made, server), 3 * TIMEOUT)


def observes(binary, loop):
    topic = unique("oscore-")

    async def run(made, server):
        async with device(made, server, "device-0") as client:
            queue = await client.observe(f"ps/{topic}")
            publisher = Paho(server.ports["mqtt"], 5)
            for payload in [b"", b"one", b"two", b"three"]:
                if payload:
                    await asyncio.to_thread(publisher.publish, topic, payload)
                found = await asyncio.wait_for(queue.get(), TIMEOUT)
                if found != payload:
                    raise AssertionError(f"{found!r} instead of {payload!r}")

    with world(binary) as (made, server):
        loop.run(run(made, server), 3 * TIMEOUT)


def transfers(binary, loop):
    topic, body = unique("oscore-"), bytes(range(256)) * (MIB // 256)

    async def run(made, server):
        async with device(made, server, "device-0") as client:
            expect(await client.ask(aiocoap.PUT, f"ps/{topic}?retain=true", body), aiocoap.CHANGED)
            expect(await client.ask(aiocoap.GET, f"ps/{topic}"), aiocoap.CONTENT, body)

    with world(binary) as (made, server):
        loop.run(run(made, server), 12 * TIMEOUT)


def refuses(binary, loop):
    async def run(made, server):
        plain = await aiocoap.Context.create_client_context()
        try:
            base = f"coap://127.0.0.1:{server.ports['coap']}"
            stranger = Device(plain, base)
            expect(await stranger.ask(aiocoap.GET, "ps/" + unique("oscore-")), aiocoap.UNAUTHORIZED)
            expect(await stranger.ask(aiocoap.GET, ".well-known/core"), aiocoap.CONTENT)
        finally:
            await plain.shutdown()
        settings = made.folder / "device-0" / "settings.json"
        settings.write_text(settings.read_text().replace(SECRET, SECRET[::-1]))
        await _refused(made, server, "device-0")

    with world(binary) as (made, server):
        loop.run(run(made, server), 3 * TIMEOUT)


async def _refused(made, server, name):
    """The server's answer is not protected, so that aiocoap does not take it for one."""
    async with device(made, server, name) as client:
        try:
            response = await client.ask(aiocoap.GET, "ps/" + unique("oscore-"))
        except aiocoap.error.Error:
            return
        raise AssertionError(f"{response.code} {response.payload!r} instead of a refusal")


def restarts(binary, loop):
    topic = unique("oscore-")

    async def publish(made, server, payload):
        async with device(made, server, "device-0") as client:
            expect(await client.ask(aiocoap.PUT, f"ps/{topic}?retain=true", payload), aiocoap.CHANGED)
            expect(await client.ask(aiocoap.GET, f"ps/{topic}"), aiocoap.CONTENT, payload)

    with world(binary) as (made, server):
        loop.run(publish(made, server, b"first"), TIMEOUT)
        before = made.folder / "before"
        shutil.copytree(made.folder / "device-0", before)
        loop.run(publish(made, server, b"second"), TIMEOUT)
        server.stop()
        folder, ports = made.folder / "server", {"coap": server.ports["coap"]}
        with Watersmeet(binary, folder=folder, ports=ports, more=made.configuration()) as again:
            loop.run(publish(made, again, b"third"), TIMEOUT)
            # A device that has lost its numbers says what it has said before.
            loop.run(_refused(made, again, "before"), TIMEOUT)


def changes(binary, loop):
    async def settles(made, server, name, known):
        end = asyncio.get_running_loop().time() + TIMEOUT
        while asyncio.get_running_loop().time() < end:
            async with device(made, server, name) as client:
                try:
                    response = await client.ask(aiocoap.PUT, "ps/" + unique("oscore-"), b"x")
                    found = response.code == aiocoap.CHANGED
                except aiocoap.error.Error:
                    found = False
            if found == known:
                return
            await asyncio.sleep(0.2)
        raise Silence(f"the change of a context counts not within {TIMEOUT:g} s")

    with world(binary) as (made, server):
        before = made.contexts.read_text()
        made.add("late", 0x40)
        loop.run(settles(made, server, "late", True), 2 * TIMEOUT)
        made.contexts.write_text(before)
        loop.run(settles(made, server, "late", False), 2 * TIMEOUT)
        loop.run(settles(made, server, "device-0", True), 2 * TIMEOUT)
