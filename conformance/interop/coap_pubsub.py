"""draft-ietf-core-coap-pubsub: its operations, asked for by aiocoap, on topics that MQTT clients know too."""

import asyncio

import aiocoap

from .client import TIMEOUT, unique
from .coap import answered
from .mqtt import PahoConnection

CORE_PUBSUB, CBOR, LINKS, JSON = 606, 60, 40, 50
FETCH, IPATCH = aiocoap.Code.FETCH, aiocoap.Code.iPATCH

SCHEMES = {"coap": "coap", "coap+tcp": "coap-tcp"}
"""How the collection is reached, and by which listener."""

NAME, DATA, TYPE, FORMAT, MAX_SUBSCRIBERS, INITIALIZE = 0, 1, 2, 3, 6, 8
"""Keys of topic properties."""


def checks(board, loop, ports):
    board.section("the topic collection of CoAP")
    titles = {
        "broker, collection, topics and topic data are discovered": discovery,
        "a topic is created, read, in part too, and found by its properties": reading,
        "a topic is replaced, changed and deleted": changing,
        "the first publication is 2.01, the next 2.04, and another format 4.15": publishing,
        "subscribers are told of data, of its end, and of too many of them": subscribing,
        "MQTT and the topic collection share their topics": crossing,
    }
    for scheme, listener in SCHEMES.items():
        for title, check in titles.items():
            if listener in ports:
                board.check(f"{scheme}: {title}", _run, loop, check, scheme, ports)


def _run(loop, check, scheme, ports):
    loop.run(_with_client(check, scheme, ports), 3 * TIMEOUT)


async def _with_client(check, scheme, ports):
    context = await aiocoap.Context.create_client_context()
    try:
        await check(_Peer(context, f"{scheme}://127.0.0.1:{ports[SCHEMES[scheme]]}"), ports)
    finally:
        await context.shutdown()


class _Peer:
    """One client of the collection."""

    def __init__(self, context, base):
        self.context, self.base = context, base
        # aiocoap forgets what nobody holds.
        self.observing = []

    async def ask(self, code, path, expected, payload=None, content_format=None, **options):
        """One request, whose answer must have the expected code."""
        if isinstance(payload, dict | list):
            content_format = content_format or (CORE_PUBSUB if isinstance(payload, dict) else CBOR)
            payload = encode(payload)
        message = aiocoap.Message(code=code, uri=f"{self.base}/{path.lstrip('/')}", payload=payload or b"", **options)
        if content_format is not None:
            message.opt.content_format = content_format
        return await answered(self.context, message, expected)

    async def create(self, name, **more):
        """Makes a topic; returns its path and properties."""
        properties = {NAME: name, TYPE: "core.ps.data"} | {int(key[1:]): value for key, value in more.items()}
        response = await self.ask(aiocoap.POST, "pubsub", "2.01", properties)
        _same(response.opt.content_format, CORE_PUBSUB)
        return "/".join(response.opt.location_path), decode(response.payload)

    async def observe(self, path):
        """Observes; returns the first answer and a queue of what follows."""
        message = aiocoap.Message(code=aiocoap.GET, uri=f"{self.base}/{path.lstrip('/')}", observe=0)
        request = self.context.request(message)
        self.observing.append(request)
        told = asyncio.Queue()
        first = await request.response
        if request.observation is not None:
            request.observation.register_callback(told.put_nowait)
            request.observation.register_errback(told.put_nowait)
        return first, told


async def discovery(peer, _ports):
    path, properties = await peer.create(unique("interop-topic-"))
    for kind in ["core.ps", "core.ps.coll"]:
        response = await peer.ask(aiocoap.GET, f".well-known/core?rt={kind}", "2.05")
        _same(response.opt.content_format, LINKS)
        _holds(response.payload, b"</pubsub>")
    for where, target in [
        (".well-known/core?rt=core.ps.conf", path),
        ("pubsub", path),
        ("pubsub?rt=core.ps.data", properties[DATA].lstrip("/")),
    ]:
        response = await peer.ask(aiocoap.GET, where, "2.05")
        _same(response.opt.content_format, LINKS)
        _holds(response.payload, f"</{target}>".encode())


async def reading(peer, _ports):
    name = unique("interop-topic-")
    path, created = await peer.create(name, _4=name)
    _same(created, {NAME: name, DATA: f"/ps/{name}", TYPE: "core.ps.data", 4: name})
    whole = await peer.ask(aiocoap.GET, path, "2.05")
    _same((whole.opt.content_format, decode(whole.payload)), (CORE_PUBSUB, created))
    part = await peer.ask(FETCH, path, "2.05", [DATA, FORMAT])
    _same(decode(part.payload), {DATA: f"/ps/{name}"})
    found = await peer.ask(FETCH, "pubsub", "2.05", {TYPE: "core.ps.data", 4: name})
    _same((found.opt.content_format, found.payload), (LINKS, f"</{path}>".encode()))
    none = await peer.ask(FETCH, "pubsub", "2.05", {4: unique("nothing-")})
    _same(none.payload, b"")
    await peer.ask(aiocoap.POST, "pubsub", "4.00", {NAME: name, TYPE: "core.ps.data"})
    await peer.ask(aiocoap.POST, "pubsub", "4.00", {NAME: unique("interop-topic-")})


async def changing(peer, _ports):
    name = unique("interop-topic-")
    path, created = await peer.create(name, _4="heat", _6=9)
    patched = await peer.ask(IPATCH, path, "2.04", {MAX_SUBSCRIBERS: 5})
    _same(decode(patched.payload), created | {MAX_SUBSCRIBERS: 5})
    replaced = await peer.ask(aiocoap.POST, path, "2.04", {NAME: name, FORMAT: JSON})
    _same(decode(replaced.payload), {NAME: name, DATA: f"/ps/{name}", TYPE: "core.ps.data", FORMAT: JSON})
    await peer.ask(aiocoap.POST, path, "4.00", {NAME: "other"})
    await peer.ask(aiocoap.DELETE, path, "2.02")
    await peer.ask(aiocoap.DELETE, path, "4.04")
    await peer.ask(aiocoap.GET, path, "4.04")


async def publishing(peer, _ports):
    _, properties = await peer.create(unique("interop-topic-"), _3=JSON)
    data = properties[DATA]
    await peer.ask(aiocoap.GET, data, "4.04")
    await peer.ask(aiocoap.PUT, data, "4.15", b"21", CBOR)
    await peer.ask(aiocoap.PUT, data, "2.01", b"21", JSON)
    await peer.ask(aiocoap.PUT, data, "2.04", b"22", JSON)
    read = await peer.ask(aiocoap.GET, data, "2.05")
    _same((read.opt.content_format, read.payload), (JSON, b"22"))
    await peer.ask(aiocoap.DELETE, data, "2.02")
    await peer.ask(aiocoap.GET, data, "4.04")
    await peer.ask(aiocoap.PUT, data, "2.01", b"23", JSON)


async def subscribing(peer, _ports):
    path, properties = await peer.create(unique("interop-topic-"), _3=JSON, _6=1, _8=b"[]")
    data = properties[DATA]
    first, told = await peer.observe(data)
    _same((first.payload, first.opt.observe is not None), (b"[]", True))
    other = await aiocoap.Context.create_client_context()
    try:
        full, _ = await _Peer(other, peer.base).observe(data)
        _same((full.payload, full.opt.observe), (b"[]", None))
    finally:
        await other.shutdown()
    await peer.ask(aiocoap.PUT, data, "2.04", b"[1]", JSON)
    _same((await asyncio.wait_for(told.get(), TIMEOUT)).payload, b"[1]")
    await peer.ask(aiocoap.DELETE, path, "2.02")
    last = await asyncio.wait_for(told.get(), TIMEOUT)
    _same(getattr(last, "code", None), aiocoap.NOT_FOUND)


async def crossing(peer, ports):
    name = unique("interop/topic/")
    _, properties = await peer.create(name)
    with PahoConnection(ports["mqtt"], 5) as mqtt:
        await asyncio.to_thread(mqtt.publish, name, b"from MQTT", retain=True)
    first, told = await peer.observe(properties[DATA])
    _same(first.payload, b"from MQTT")
    with PahoConnection(ports["mqtt"], 5) as mqtt:
        await asyncio.to_thread(mqtt.publish, name, b"", retain=True)
    last = await asyncio.wait_for(told.get(), TIMEOUT)
    _same(getattr(last, "code", None), aiocoap.NOT_FOUND)


def encode(value) -> bytes:
    """As much of CBOR as topic properties need."""
    if isinstance(value, int):
        return _head(0, value)
    if isinstance(value, bytes):
        return _head(2, len(value)) + value
    if isinstance(value, str):
        return _head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return _head(4, len(value)) + b"".join(map(encode, value))
    return _head(5, len(value)) + b"".join(encode(part) for entry in value.items() for part in entry)


def _head(major, argument):
    if argument < 24:
        return bytes([major << 5 | argument])
    return bytes([major << 5 | 24, argument]) if argument < 256 else bytes([major << 5 | 25]) + argument.to_bytes(2)


def decode(payload: bytes):
    """The same the other way."""
    value, rest = _item(payload)
    _same(rest, b"")
    return value


def _item(payload):
    major, argument, rest = payload[0] >> 5, payload[0] & 31, payload[1:]
    if argument >= 24:
        length = 1 << argument - 24
        argument, rest = int.from_bytes(rest[:length]), rest[length:]
    if major == 0:
        return argument, rest
    if major in (2, 3):
        value, rest = rest[:argument], rest[argument:]
        return (value if major == 2 else value.decode()), rest
    if major == 6:
        return _item(rest)
    items = []
    for _ in range(argument * (2 if major == 5 else 1)):
        item, rest = _item(rest)
        items.append(item)
    return (dict(zip(items[::2], items[1::2])) if major == 5 else items), rest


def _same(found, expected):
    if found != expected:
        raise AssertionError(f"{found!r} instead of {expected!r}")


def _holds(found, expected):
    if expected not in found:
        raise AssertionError(f"{expected!r} is not in {found!r}")
