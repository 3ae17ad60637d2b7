"""RFC 9176 with aiocoap's own client of it, and requests that applications send to a device of aiocoap."""

import asyncio
import json

import aiocoap
from aiocoap import resource
from aiocoap.numbers import ContentFormat
from aiocoap.resourcedirectory.client.register import Registerer
from aiocoap.util.linkformat import parse

from .client import TIMEOUT, unique
from .coap import answered
from .mqtt import PahoConnection


def checks(board, loop, ports):
    board.section("the resource directory, and requests to CoAP clients")
    titles = {
        "aiocoap's registration client finds the directory, registers and is looked up": registering,
        "a simple registration fetches .well-known/core": registering_simply,
        "lookups filter, and come in pages": looking_up,
        "an endpoint is for who registered it first": owning,
        "an MQTT client asks a CoAP device for values, and sets them": asking,
        "an MQTT client observes a CoAP device": observing,
        "a format that has no name, and an ETag, come back from MQTT": content,
    }
    for title, check in titles.items():
        board.check(title, lambda check=check: loop.run(_with_device(check, ports), 3 * TIMEOUT))


async def _with_device(check, ports):
    device = await Device.start(ports["coap"])
    try:
        await check(device, ports)
    finally:
        await device.context.shutdown()


class Device:
    """A CoAP server of aiocoap that is a client of ours from the same port."""

    def __init__(self, context, site, value, port):
        self.context, self.site, self.value = context, site, value
        self.base, self.name = f"coap://127.0.0.1:{port}", unique("device-")

    @classmethod
    async def start(cls, port):
        site, value = resource.Site(), _Value()
        site.add_resource([".well-known", "core"], resource.WKCResource(site.get_resources_as_linkheader))
        site.add_resource(["sensors", "temp"], value)
        context = await aiocoap.Context.create_server_context(
            site, bind=("127.0.0.1", 0), transports=["udp6"]
        )
        return cls(context, site, value, port)

    async def ask(self, code, path, expected, payload=b"", **options):
        """One request, whose answer must have the expected code."""
        message = aiocoap.Message(code=code, uri=f"{self.base}/{path}", payload=payload, **options)
        return await answered(self.context, message, expected)

    async def links(self, path):
        response = await self.ask(aiocoap.GET, path, "2.05")
        return parse(response.payload.decode()).links if response.payload else []


class _Value(resource.ObservableResource):
    """Plain text that can be set."""

    rt = "temperature-c"

    def __init__(self):
        super().__init__()
        self.text = "21.5"

    def get_link_description(self):
        return {**super().get_link_description(), "rt": self.rt}

    async def render_get(self, _request):
        return aiocoap.Message(payload=self.text.encode(), content_format=ContentFormat.TEXT)

    async def render_put(self, request):
        self.text = request.payload.decode()
        self.updated_state()
        return aiocoap.Message(code=aiocoap.CHANGED)


async def registering(device, _ports):
    registerer = Registerer(device.context, rd=device.base, registration_parameters={"ep": device.name}, lt=120)
    await _until(lambda: registerer.state == "registered", lambda: registerer.state)
    found = await device.links(f"directory-lookup/res?ep={device.name}&rt=temperature-c")
    _same(len(found), 1)
    response = await device.context.request(aiocoap.Message(code=aiocoap.GET, uri=found[0].href)).response
    _same(response.payload, b"21.5")
    endpoints = await device.links(f"directory-lookup/ep?rt=temperature-c&ep={device.name}")
    _same([link.ep for link in endpoints], [[device.name]])
    await registerer.shutdown()
    await _gone(device)


async def _gone(device):
    for _ in range(50):
        if not await device.links(f"directory-lookup/ep?ep={device.name}"):
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the endpoint is still there")


async def registering_simply(device, _ports):
    await device.ask(aiocoap.POST, f".well-known/rd?ep={device.name}&lt=60", "2.04")
    found = await device.links(f"directory-lookup/res?ep={device.name}&href=*")
    if not any(link.href.endswith("/sensors/temp") for link in found):
        raise AssertionError(f"found {found}")
    await device.ask(aiocoap.POST, f".well-known/rd?ep={device.name}&base=coap://h", "4.00")


async def looking_up(device, _ports):
    links = ",".join(f'</res/{number}>;ct=60;if="a b"' for number in range(10)).encode()
    query = f"ep={device.name}&base=coap://h.example&et=tag:x"
    await device.ask(aiocoap.POST, f"directory?{query}", "2.01", links, content_format=40)
    page = await device.links(f"directory-lookup/res?ep={device.name}&if=b&page=1&count=4")
    _same([link.href for link in page], [f"coap://h.example/res/{number}" for number in range(4, 8)])
    _same(len(await device.links(f"directory-lookup/ep?et=tag*&ep={device.name}")), 1)
    _same(await device.links(f"directory-lookup/res?ep={device.name}&if=c"), [])
    await device.ask(aiocoap.GET, "directory-lookup/res?page=1", "4.00")


async def owning(device, _ports):
    query = f"ep={device.name}&c={device.name}"
    created = await device.ask(aiocoap.POST, f"directory?{query}", "2.01", b"</a>", content_format=40)
    location = "/".join(created.opt.location_path)
    other = await aiocoap.Context.create_client_context()
    try:
        for code in (aiocoap.POST, aiocoap.DELETE):
            message = aiocoap.Message(code=code, uri=f"{device.base}/{location}")
            _same((await other.request(message).response).code, aiocoap.FORBIDDEN)
    finally:
        await other.shutdown()
    await device.ask(aiocoap.DELETE, location, "2.02")
    await device.ask(aiocoap.DELETE, location, "4.04")


async def asking(device, ports):
    await _be_there(device)
    with PahoConnection(ports["mqtt"], 5) as app:
        app.subscribe(f"coap/{device.name}/response")
        answer = await _ask(device, app, {"path": "sensors/temp"})
        _same((answer["code"], answer["payload"], answer["content_format"]), ("2.05", "21.5", 0))
        answer = await _ask(device, app, {"method": "PUT", "path": "sensors/temp", "payload": "x" * 3_000})
        _same((answer["code"], device.value.text), ("2.04", "x" * 3_000))
        answer = await _ask(device, app, {"path": "sensors/temp"})
        _same(answer["payload"], "x" * 3_000)
        answer = await _ask(device, app, {"path": "nowhere"})
        _same(answer["code"], "4.04")
        answer = await _ask(device, app, {"method": "LOOK"})
        _same(answer["error"], "bad_request")


async def observing(device, ports):
    await _be_there(device)
    with PahoConnection(ports["mqtt"], 5) as app:
        app.subscribe(f"coap/{device.name}/response")
        answer = await _ask(device, app, {"path": "sensors/temp", "observe": True})
        _same((answer["payload"], "observe" in answer), ("21.5", True))
        device.value.text = "22"
        device.value.updated_state()
        told = json.loads((await asyncio.to_thread(app.subscription.receive, TIMEOUT)).payload)
        _same((told["id"], told["payload"]), (answer["id"], "22"))
        await _ask(device, app, {"path": "sensors/temp", "observe": False})


async def content(device, ports):
    topic = unique("content/")
    put = f"ps/{topic}?retain=true"
    await device.ask(aiocoap.PUT, put, "2.04", b"21", content_format=65001, etags=[b"\x01\xa0"])
    response = await device.ask(aiocoap.GET, f"ps/{topic}", "2.05")
    _same((response.opt.content_format, response.opt.etag), (65001, b"\x01\xa0"))
    await device.ask(aiocoap.GET, f"ps/{topic}", "2.03", etags=[b"\x01\xa0"])
    with PahoConnection(ports["mqtt"], 5) as app:
        app.subscribe(topic)
        message = await asyncio.to_thread(app.subscription.receive, TIMEOUT)
        _same(message.payload, b"21")
    await device.ask(aiocoap.DELETE, f"ps/{topic}", "2.02")


async def _be_there(device):
    """Opens the device's session; what it takes to be asked follows the answer."""
    await device.ask(aiocoap.PUT, f"ps/hello/{device.name}?c={device.name}", "2.04", b"1")
    await device.ask(aiocoap.PUT, f"ps/hello/{device.name}?c={device.name}", "2.04", b"2")


async def _ask(device, app, request):
    request = {"id": unique("ask-"), **request}
    app.publish(f"coap/{device.name}/request", json.dumps(request))
    answer = json.loads((await asyncio.to_thread(app.subscription.receive, TIMEOUT)).payload)
    _same(answer["id"], request["id"])
    return answer


async def _until(reached, what):
    for _ in range(100):
        if reached():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"it is {what()!r}")


def _same(found, expected):
    if found != expected:
        raise AssertionError(f"{found!r} instead of {expected!r}")
