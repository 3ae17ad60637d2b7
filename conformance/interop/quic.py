"""MQTT over QUIC: aioquic carries the bytes of clients that know only TCP, and speaks with several streams itself."""

import asyncio
import ssl
from contextlib import AsyncExitStack

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, StreamDataReceived, StreamReset

from .client import TIMEOUT, Silence, unique
from .coap import Loop
from .mqtt import LABEL, Mosquitto, Paho

CHUNK = 16 * 1024


class Connection(QuicConnectionProtocol):
    """A QUIC connection whose streams are numbered in the order in which they are opened, the control stream 0."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.readers = []

    def open(self, count: int = 1):
        for _ in range(count):
            # A stream is there once something is sent on it.
            self._quic.send_stream_data(self._quic.get_next_available_stream_id(), b"")
            self.readers.append(asyncio.StreamReader())

    def send(self, number: int, *packets: bytes, last: bool = False):
        self._quic.send_stream_data(4 * number, b"".join(packets), end_stream=last)
        self.transmit()

    def abandon(self, number: int):
        self._quic.reset_stream(4 * number, 0)
        self._quic.stop_stream(4 * number, 0)
        self.transmit()

    async def expect(self, number: int, *packets: bytes):
        wanted = b"".join(packets)
        try:
            got = await asyncio.wait_for(self.readers[number].readexactly(len(wanted)), TIMEOUT)
        except TimeoutError:
            raise Silence(f"no {wanted.hex(' ')} on stream {number} within {TIMEOUT:g} s") from None
        if got != wanted:
            raise AssertionError(f"expected {wanted.hex(' ')} on stream {number}, got {got.hex(' ')}")

    def quic_event_received(self, event):
        if isinstance(event, StreamDataReceived):
            reader = self.readers[event.stream_id // 4]
            reader.feed_data(event.data)
            if event.end_stream:
                reader.feed_eof()
        elif isinstance(event, StreamReset):
            self.readers[event.stream_id // 4].feed_eof()
        elif isinstance(event, ConnectionTerminated):
            for reader in self.readers:
                reader.feed_eof()

    async def session(self):
        self.send(0, packet(0x10, b"\x00\x04MQTT\x04\x02\x00\x3c", text(unique("aioquic-").encode())))
        await self.expect(0, b"\x20\x02\x00\x00")

    async def subscribe(self, number: int, topic: bytes):
        self.send(number, packet(0x82, b"\x00\x01", text(topic), b"\x01"))
        await self.expect(number, b"\x90\x03\x00\x01\x01")


class Tunnel:
    """A TCP port whose connections each become a QUIC connection with one stream."""

    def __init__(self, loop: Loop, port: int, ca):
        self._loop, self._quic, self._ca = loop, port, ca
        self._server = loop.run(self._listen())
        self.port = self._server.sockets[0].getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._loop.loop.call_soon_threadsafe(self._server.close)

    async def _listen(self):
        return await asyncio.start_server(self._carry, "127.0.0.1", 0)

    async def _carry(self, reader, writer):
        try:
            async with dial(self._quic, self._ca) as connection:
                connection.open()
                down = asyncio.create_task(_down(connection, writer))
                try:
                    while chunk := await reader.read(CHUNK):
                        connection.send(0, chunk)
                    connection.send(0, last=True)
                    await asyncio.wait([down], timeout=TIMEOUT)
                finally:
                    down.cancel()
        except (OSError, AssertionError):
            pass  # one of the two is gone
        finally:
            writer.close()


async def _down(connection, writer):
    while chunk := await connection.readers[0].read(CHUNK):
        writer.write(chunk)
        await writer.drain()
    writer.close()


def dial(port: int, ca):
    """A QUIC connection to the server, whose certificate is verified."""
    configuration = QuicConfiguration(is_client=True, alpn_protocols=["mqtt"], server_name="localhost")
    configuration.verify_mode = ssl.CERT_REQUIRED
    configuration.load_verify_locations(cafile=str(ca))
    return connect("127.0.0.1", port, configuration=configuration, create_protocol=Connection)


def clients(port: int):
    """Clients whose bytes go through the tunnel at this port."""
    found = [Mosquitto(port, 5), Paho(port, 5), Paho(port, 4)]
    for client in found:
        client.name, client.protocol = f"{client.name} {LABEL[client.version].split()[1]}", "QUIC"
    return found


def checks(board, loop, port, ca):
    board.section("several streams of one QUIC connection")
    for title, check in {
        "a stream is given what it subscribed, and the answers to what it asked": streams,
        "what comes early waits for CONNECT": early,
        "a lost stream leaves its subscriptions and messages to the control stream": lost,
        "the end of the control stream is the end of the connection": ended,
    }.items():
        board.check(title, lambda check=check: loop.run(check(port, ca), 4 * TIMEOUT))


def text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def packet(head: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes([head, len(body)]) + body


def message(topic: bytes, number: int, payload: bytes, duplicate: bool = False) -> bytes:
    """A PUBLISH of QoS 1."""
    return packet(0x3A if duplicate else 0x32, text(topic), number.to_bytes(2, "big"), payload)


def ack(number: int) -> bytes:
    return b"\x40\x02" + number.to_bytes(2, "big")


async def streams(port, ca):
    topic = unique("interop/quic/").encode()
    async with dial(port, ca) as connection:
        connection.open(3)
        await connection.session()
        await connection.subscribe(1, topic)
        connection.send(2, message(topic, 7, b"x"))
        await connection.expect(2, ack(7))
        await connection.expect(1, message(topic, 1, b"x"))
        connection.send(1, ack(1))
        connection.send(0, b"\xc0\x00")
        await connection.expect(0, b"\xd0\x00")


async def early(port, ca):
    topic = unique("interop/quic/").encode()
    async with dial(port, ca) as connection:
        connection.open(2)
        connection.send(1, packet(0x82, b"\x00\x01", text(topic), b"\x01"))
        await connection.session()
        await connection.expect(1, b"\x90\x03\x00\x01\x01")


async def lost(port, ca):
    topic = unique("interop/quic/").encode()
    async with AsyncExitStack() as stack:
        subscriber, publisher = [await stack.enter_async_context(dial(port, ca)) for _ in range(2)]
        subscriber.open(2)
        await subscriber.session()
        await subscriber.subscribe(1, topic)
        publisher.open()
        await publisher.session()
        publisher.send(0, message(topic, 7, b"before"))
        await subscriber.expect(1, message(topic, 1, b"before"))
        subscriber.abandon(1)
        await subscriber.expect(0, message(topic, 1, b"before", duplicate=True))
        subscriber.send(0, ack(1))
        publisher.send(0, message(topic, 8, b"after"))
        await subscriber.expect(0, message(topic, 2, b"after"))


async def ended(port, ca):
    async with dial(port, ca) as connection:
        connection.open(2)
        await connection.session()
        connection.send(0, last=True)
        await asyncio.wait_for(connection.wait_closed(), TIMEOUT)
