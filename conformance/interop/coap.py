"""CoAP: aiocoap and libcoap's coap-client. A topic is the resource ps/{topic}; observing it is subscribing."""

import asyncio
import re
import shutil
import subprocess
import threading
from concurrent.futures import TimeoutError
from urllib.parse import quote

import aiocoap
from aiocoap.numbers import ContentFormat

from .client import TIMEOUT, Client, Message, Silence, Subscription, wait


class Loop:
    """An event loop in a thread, for aiocoap."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, coroutine, timeout: float = TIMEOUT):
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise Silence(f"no answer to aiocoap within {timeout:g} s") from None


def media_type(message) -> str | None:
    """The media type of a CoAP message, by name."""
    number = message.opt.content_format
    return None if number is None else ContentFormat(number).media_type


class AioCoap(Client):
    """aiocoap; it publishes with POST."""

    name, protocol = "aiocoap", "CoAP"

    def __init__(self, loop: Loop, port: int):
        self.loop, self.port = loop, port

    def publish(self, topic, payload, *, retain=False, content_type=None):
        response = self.request(aiocoap.POST, topic, payload, retain=retain, content_type=content_type)
        if not response.code.is_successful():
            raise RuntimeError(f"aiocoap: {response.code} {response.payload!r}")

    def request(self, code, topic, payload=b"", *, retain=False, content_type=None):
        """One request on a socket of its own."""
        return self.loop.run(self._request(code, topic, payload, retain, content_type))

    def get(self, topic) -> bytes:
        """The payload of a plain GET."""
        return self.request(aiocoap.GET, topic).payload

    def subscribe(self, topic):
        return self.loop.run(self._subscribe(topic))

    async def _request(self, code, topic, payload, retain, content_type):
        context = await self._context()
        try:
            request = aiocoap.Message(code=code, uri=self._uri(topic, retain), payload=payload)
            if content_type:
                request.opt.content_format = ContentFormat.by_media_type(content_type)
            return await context.request(request).response
        finally:
            await context.shutdown()

    async def _subscribe(self, topic):
        context = await self._context()
        request = context.request(aiocoap.Message(code=aiocoap.GET, uri=self._uri(topic), observe=0))
        response = await request.response
        if not response.code.is_successful() or response.opt.observe is None:
            await context.shutdown()
            raise RuntimeError(f"aiocoap may not observe: {response.code} {response.opt}")
        subscription = Subscription(lambda: self.loop.run(self._unsubscribe(context, request)))

        def notified(message):
            subscription.put(Message(message.payload, content_type=media_type(message)))

        if response.payload:
            notified(response)
        request.observation.register_callback(notified)
        request.observation.register_errback(subscription.put)
        return subscription

    @staticmethod
    async def _unsubscribe(context, request):
        if not request.observation.cancelled:
            request.observation.cancel()
        await context.shutdown()

    async def _context(self):
        return await aiocoap.Context.create_client_context()

    def _uri(self, topic, retain=False):
        return uri(self.port, topic, retain)


class LibCoap(Client):
    """libcoap's coap-client; it publishes with PUT."""

    name, protocol = "coap-client", "CoAP"

    def __init__(self, port: int):
        self.port = port
        self.command = [shutil.which("coap-client") or shutil.which("coap-client-notls")]

    def publish(self, topic, payload, *, retain=False, content_type=None):
        command = [*self.command, "-v", "6", "-B", "5", "-m", "put", "-f", "-"]
        command += ["-t", content_type] if content_type else []
        done = subprocess.run(
            [*command, self._uri(topic, retain)], input=payload, capture_output=True, timeout=TIMEOUT
        )
        output = (done.stdout + done.stderr).decode(errors="replace")
        if not re.search(r" c:2\.\d\d", output):
            raise RuntimeError(f"coap-client: {output.strip()}")

    def get(self, topic) -> bytes:
        """The payload of a plain GET."""
        command = [*self.command, "-B", "5", "-m", "get", self._uri(topic)]
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT)
        return done.stdout.rstrip(b"\n")

    def subscribe(self, topic):
        # Into a pipe it would write whole blocks only.
        command = ["stdbuf", "-oL", *self.command, "-v", "6", "-s", "60", "-m", "get", self._uri(topic)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)

        def close():
            process.terminate()
            process.wait(TIMEOUT)

        subscription = Subscription(close)
        confirmed = threading.Event()
        threading.Thread(target=self._read, args=(process, subscription, confirmed), daemon=True).start()
        try:
            wait(confirmed, "observation for coap-client")
        except Silence:
            close()
            raise
        return subscription

    def _uri(self, topic, retain=False):
        return uri(self.port, topic, retain)

    @staticmethod
    def _read(process, subscription, confirmed):
        for line in process.stdout:
            response = re.search(rb" c:2\.05 .*Observe:\d+", line)
            if response:
                text = re.search(rb" :: '(.*)'$", line.rstrip())
                binary = re.search(rb"<<([0-9a-f]+)>>", line)
                if text or binary:
                    subscription.put(Message(text[1] if text else bytes.fromhex(binary[1].decode())))
                confirmed.set()


async def answered(context, message, expected: str):
    """The answer to a request of aiocoap, which must have this code, as "2.05"."""
    response = await context.request(message).response
    dotted = f"{response.code.class_}.{int(response.code) & 31:02}"
    if dotted != expected:
        asked = f"{message.code.name} {message.get_request_uri()}"
        raise AssertionError(f"{asked}: {dotted} {response.payload!r} instead of {expected}")
    return response


def uri(port: int, topic: str, retain: bool = False, scheme: str = "coap") -> str:
    """Where a topic is published and observed."""
    return f"{scheme}://127.0.0.1:{port}/ps/{quote(topic)}{'?retain=true' if retain else ''}"
