"""CoAP over TCP, TLS and WebSocket (RFC 8323): aiocoap and libcoap's coap-client, and what they are told of the end."""

import shutil
import socket
import struct

import aiocoap

from .client import TIMEOUT, Silence, unique
from .coap import AioCoap, LibCoap, uri
from .crossing import crosses
from .server import Watersmeet, ends_in_time

LISTENERS = """
[listeners.coap-ws]
protocol = "coap"
transport = "ws"
bind = "127.0.0.1:0"

[listeners.coap-wss]
protocol = "coap"
transport = "wss"
bind = "127.0.0.1:0"

[coap.stream]
alternative_addresses = ["elsewhere.example"]
hold_off = "1m"
"""

CSM, PING, PONG, RELEASE = 0xE1, 0xE2, 0xE3, 0xE4


class AioCoapStream(AioCoap):
    """aiocoap over one of its reliable transports."""

    def __init__(self, loop, scheme: str, port: int, ca):
        super().__init__(loop, port)
        self.scheme, self.ca = scheme, ca

    async def _context(self):
        context = await aiocoap.Context.create_client_context(transports=["tcpclient", "tlsclient", "ws"])
        trust = {f"{self.scheme}://127.0.0.1:{self.port}/*": {"tlscert": {"certfile": str(self.ca)}}}
        if self.scheme.startswith("coaps"):
            context.client_credentials.load_from_dict(trust)
        return context

    def _uri(self, topic, retain=False):
        return uri(self.port, topic, retain, self.scheme)


class LibCoapStream(LibCoap):
    """coap-client over TCP or TLS, which takes another build of it for each TLS library."""

    def __init__(self, program: str, scheme: str, port: int, ca):
        super().__init__(port)
        self.scheme = scheme
        self.command = [program, "-C", str(ca)] if scheme.startswith("coaps") else [program]

    def _uri(self, topic, retain=False):
        return uri(self.port, topic, retain, self.scheme)


def checks(board, binary, loop):
    board.section("CoAP on streams")
    with Watersmeet(binary, more=LISTENERS) as server:
        clients = _clients(server, loop)
        board.table("CoAP over every transport", clients, clients, crosses, "publisher \\ subscriber")
        for label, client in clients:
            board.check(f"{label}: 10,000 bytes are retained and read again", long_payload, client)
        port = server.ports["coap-tcp"]
        board.check("a Ping is answered with its token, and a Release by closing", pings_and_releases, port)
    board.check("SIGTERM: peers are released, and told where to go", released, binary)


def _clients(server, loop):
    ports, ca = server.ports, server.ca
    places = [("coap+tcp", "coap-tcp"), ("coaps+tcp", "coaps-tcp"), ("coap+ws", "coap-ws"), ("coaps+ws", "coap-wss")]
    found = [("aiocoap udp", AioCoap(loop, ports["coap"]))]
    found += [(f"aiocoap {scheme}", AioCoapStream(loop, scheme, ports[name], ca)) for scheme, name in places]
    plain = shutil.which("coap-client") or shutil.which("coap-client-notls")
    found.append(("coap-client tcp", LibCoapStream(plain, "coap+tcp", ports["coap-tcp"], ca)))
    for library in ("openssl", "gnutls"):
        program = shutil.which(f"coap-client-{library}")
        if program:
            client = LibCoapStream(program, "coaps+tcp", ports["coaps-tcp"], ca)
            found.append((f"coap-client {library}", client))
    return found


def long_payload(client):
    topic = unique("interop/stream/")
    payload = b"0123456789" * 1000
    client.publish(topic, payload, retain=True)
    got = client.get(topic)
    if got != payload:
        raise AssertionError(f"{len(got)} bytes came back: {got[:60]!r}")


class Peer:
    """A peer that sees every message; their options are left as they are."""

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self.reader = self.socket.makefile("rb")

    def close(self):
        self.reader.close()
        self.socket.close()

    def read(self):
        """Code, token, and what is behind it; `None` at the end."""
        first = self.reader.read(1)
        if not first:
            return None
        length, token = first[0] >> 4, first[0] & 15
        if length == 13:
            length += self.reader.read(1)[0]
        elif length == 14:
            length = 269 + struct.unpack(">H", self.reader.read(2))[0]
        code = self.reader.read(1)[0]
        return code, self.reader.read(token), self.reader.read(length)

    def expect(self, *expected):
        message = self.read()
        if message is None or message[: len(expected)] != expected:
            raise Silence(f"expected {expected}, found {message}")
        return message


def pings_and_releases(port):
    peer = Peer(port)
    peer.expect(CSM, b"")
    peer.socket.sendall(bytes([0x00, CSM, 0x02, PING]) + b"ab")
    peer.expect(PONG, b"ab")
    peer.socket.sendall(bytes([0x00, RELEASE]))
    if peer.read() is not None:
        raise AssertionError("something was said behind the Release")
    peer.close()


def released(binary):
    with Watersmeet(binary, more=LISTENERS) as server:
        peer = Peer(server.ports["coap-tcp"])
        peer.expect(CSM)
        peer.socket.sendall(b"\x00\xe1" + b"\xa1\x03t\xb2ps\x01a\xff21.5")
        while peer.read()[0] != 0x44:
            pass
        server.process.terminate()
        _, _, body = peer.expect(RELEASE, b"")
        if peer.read() is not None:
            raise AssertionError("something was said behind the Release")
        peer.close()
        code = ends_in_time(server.process)
        if code != 0:
            raise AssertionError(f"the exit code is {code}")
    if b"elsewhere.example" not in body or b"\x21\x3c" not in body:
        raise AssertionError(f"the Release names no other place: {body!r}")
