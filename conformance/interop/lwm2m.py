"""LwM2M devices: coap-node, and a small one of our own on aiocoap for what coap-node cannot do."""

import json
import time

import aiocoap
from aiocoap import resource
from aiocoap.numbers import ContentFormat

from .client import TIMEOUT, Silence, unique
from .crossing import one_each
from .mqtt import PahoConnection

MANUFACTURER = "Confluence"

COMMANDS = [
    ("read", {"path": "/3303/0"}, "2.05", lambda content: {"path": "/3303/0/5701", "value": "Cel"} in content),
    ("read", {"path": "/3303/0/5700"}, "2.05", lambda content: content[0]["value"] == 21.5),
    ("read", {"path": "/3303/7/5700"}, "4.04", None),
    ("discover", {"path": "/3303/0"}, "2.05", lambda content: any("/3303/0/5700" in link for link in content)),
    ("write", {"path": "/3303/0/5750", "type": "String", "value": "boiler"}, "2.04", None),
    ("write", {"path": "/3303/0/5701", "type": "String", "value": "Far"}, "4.05", None),
    ("write-attr", {"path": "/3303/0/5700", "pmin": 1, "pmax": 60}, "2.04", None),
    ("execute", {"path": "/3303/0/5605"}, "2.04", None),
    ("execute", {"path": "/3303/0/5700"}, "4.05", None),
    ("observe", {"path": "/3303/0/5700"}, "2.05", lambda content: content[0]["value"] == 21.5),
    ("cancel-observe", {"path": "/3303/0/5700"}, "4.04", None),
]
"""Each command with the code and the content of its answer."""


class CoapNode:
    """A device run by coap-node, an LwM2M 1.0 client."""

    def __init__(self, node, _loop, port: int):
        self.node, self.port, self.endpoint = node, port, unique("coap-node-")

    def register(self):
        status = self.node.call("lwm2m.register", client=self.endpoint, port=self.port)
        if status != "2.01":
            raise RuntimeError(f"the registration was answered {status}")

    def change(self, value: float):
        """Gives /3303/0/5700 another value."""
        arguments = {"object": 3303, "instance": 0, "resource": 5700, "value": value}
        self.node.call("lwm2m.set", client=self.endpoint, **arguments)

    def close(self):
        self.node.call("lwm2m.deregister", client=self.endpoint)


class AioDevice:
    """A device of LwM2M 1.1 whose CoAP is aiocoap's; it speaks plain text."""

    def __init__(self, _node, loop, port: int):
        self.loop, self.port, self.endpoint = loop, port, unique("aio-device-")
        self.context = self.location = None
        self.temperature = _Text("21.5")

    def register(self):
        self.loop.run(self._register())

    def change(self, value: float):
        """Gives /3303/0/5700 another value."""
        self.loop.loop.call_soon_threadsafe(self.temperature.set, str(value))

    def close(self):
        self.loop.run(self._close())

    async def _register(self):
        values = {"5700": self.temperature, "5701": _Text("Cel"), "5750": _Text("", writable=True)}
        site = resource.Site()
        site.add_resource(["3", "0", "0"], _Text(MANUFACTURER))
        site.add_resource(["3303", "0"], _Instance("3303/0", values))
        for number, value in values.items():
            site.add_resource(["3303", "0", number], value)
        site.add_resource(["3303", "0", "5605"], _Executable())
        self.context = await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", 0))
        response = await self._request(
            aiocoap.POST, f"rd?ep={self.endpoint}&lt=300&lwm2m=1.1&b=U", b"</1/0>,</3/0>,</3303/0>"
        )
        if response.code != aiocoap.CREATED:
            raise RuntimeError(f"the registration was answered {response.code} {response.payload!r}")
        self.location = "/".join(response.opt.location_path)

    async def _close(self):
        response = await self._request(aiocoap.DELETE, self.location)
        await self.context.shutdown()
        if response.code != aiocoap.DELETED:
            raise RuntimeError(f"the deregistration was answered {response.code} {response.payload!r}")

    async def _request(self, code, path, payload=b""):
        message = aiocoap.Message(code=code, uri=f"coap://127.0.0.1:{self.port}/{path}", payload=payload)
        if payload:
            message.opt.content_format = ContentFormat.LINKFORMAT
        return await self.context.request(message).response


class _Text(resource.ObservableResource):
    """A resource that is plain text."""

    def __init__(self, text, writable=False):
        super().__init__()
        self.text, self.writable = text, writable

    def set(self, text):
        self.text = text
        self.updated_state()

    async def render_get(self, _request):
        return aiocoap.Message(payload=self.text.encode(), content_format=ContentFormat.TEXT)

    async def render_put(self, request):
        if request.opt.uri_query:
            return aiocoap.Message(code=aiocoap.CHANGED)
        if not self.writable:
            return aiocoap.Message(code=aiocoap.METHOD_NOT_ALLOWED)
        if request.opt.content_format not in (None, ContentFormat.TEXT):
            return aiocoap.Message(code=aiocoap.UNSUPPORTED_CONTENT_FORMAT)
        self.set(request.payload.decode())
        return aiocoap.Message(code=aiocoap.CHANGED)


class _Instance(resource.Resource):
    """An object instance, as links or as LwM2M JSON."""

    def __init__(self, path, values):
        super().__init__()
        self.path, self.values = path, values

    async def render_get(self, request):
        if request.opt.accept == ContentFormat.LINKFORMAT:
            links = ",".join(f"</{self.path}/{number}>" for number in self.values)
            return aiocoap.Message(payload=links.encode(), content_format=ContentFormat.LINKFORMAT)
        values = [{"n": number, "sv": value.text} for number, value in self.values.items()]
        text = json.dumps({"bn": f"/{self.path}/", "e": values})
        return aiocoap.Message(payload=text.encode(), content_format=11543)


class _Executable(resource.Resource):
    """A resource that can be executed."""

    async def render_post(self, _request):
        return aiocoap.Message(code=aiocoap.CHANGED)


def tables(board, everyone, ports, node, loop):
    """A device's events reach every protocol, and every protocol's commands reach a device."""
    everyone, devices = one_each(everyone), []
    columns = [(f"{client.protocol}|{client.name}", client) for client in everyone]
    for name, device in (("coap-node", CoapNode), ("aiocoap", AioDevice)):

        def make(device=device):
            return device(node, loop, ports["coap"])

        devices.append((name, make))
        rows = [("registration", _registration), ("notification", _notification), ("read", _read)]
        board.table(
            f"LwM2M device {name}",
            rows,
            columns,
            lambda run, client, make=make: run(make(), client, ports["mqtt"]),
            "what \\ by",
        )
    rows = [(f"{command} {data['path']}", (command, data, code, wanted)) for command, data, code, wanted in COMMANDS]
    board.table(
        "LwM2M commands",
        rows,
        devices,
        lambda row, make: _command(make(), *row, ports["mqtt"]),
        "command \\ device",
    )


def _registration(device, client, _port):
    """The client is told that the device registered."""
    with client.subscribe(f"lwm2m/{device.endpoint}/up/resp") as events:
        began = time.perf_counter()
        device.register()
        event = _event(events, lambda event: event["msgType"] == "register")
        seconds = time.perf_counter() - began
        device.close()
    if event["data"]["ep"] != device.endpoint:
        raise AssertionError(f"the event is {event}")
    return seconds


def _notification(device, client, port):
    """The client is told each new value of an observed resource."""
    topic = f"lwm2m/{device.endpoint}"
    with PahoConnection(port, 5) as app, client.subscribe(f"{topic}/up/notify") as notifications:
        app.subscribe(f"{topic}/up/resp")
        device.register()
        command = {"reqID": 7, "msgType": "observe", "data": {"path": "/3303/0/5700"}}
        app.publish(f"{topic}/dn", json.dumps(command))
        _event(app.subscription, lambda event: event["msgType"] == "observe")
        began = time.perf_counter()
        device.change(23.25)
        _event(notifications, lambda event: _value(event) == 23.25)
        seconds = time.perf_counter() - began
        device.close()
    return seconds


def _read(device, client, port):
    """The client reads /3/0/0 and the answer is published."""
    topic = f"lwm2m/{device.endpoint}"
    with PahoConnection(port, 5) as app:
        app.subscribe(f"{topic}/up/resp")
        device.register()
        command = {"reqID": unique("read-"), "msgType": "read", "data": {"path": "/3/0/0"}}
        began = time.perf_counter()
        client.publish(f"{topic}/dn", json.dumps(command).encode())
        event = _event(app.subscription, lambda event: event.get("reqID") == command["reqID"])
        seconds = time.perf_counter() - began
        device.close()
    if event["data"].get("code") != "2.05" or _value(event) != MANUFACTURER:
        raise AssertionError(f"the answer is {event}")
    return seconds


def _command(device, command, data, code, wanted, port):
    """The device carries the command out, and the answer says so."""
    topic, request = f"lwm2m/{device.endpoint}", unique("command-")
    if isinstance(device, AioDevice) and command == "write":
        data = {**data, "format": "text"}
    with PahoConnection(port, 5) as app:
        app.subscribe(f"{topic}/up/resp")
        device.register()
        began = time.perf_counter()
        app.publish(f"{topic}/dn/x", json.dumps({"reqID": request, "msgType": command, "data": data}))
        event = _event(app.subscription, lambda event: event.get("reqID") == request)
        seconds = time.perf_counter() - began
        device.close()
    answer = event["data"]
    if answer.get("code") != code or (wanted and not wanted(answer.get("content"))):
        raise AssertionError(f"the answer is {event}")
    return seconds


def _event(subscription, wanted):
    """The first event that is wanted; others are passed over."""
    end, seen = time.monotonic() + TIMEOUT, []
    while time.monotonic() < end:
        try:
            message = subscription.receive(max(end - time.monotonic(), 0.01))
        except Silence:
            break
        event = json.loads(message.payload)
        if wanted(event):
            return event
        seen.append(event)
    raise Silence(f"the event did not come within {TIMEOUT:g} s, but {seen}")


def _value(event):
    """The value of the only resource in an event."""
    content = event.get("data", {}).get("content") or [{}]
    return content[0].get("value")
