"""What holds for the server as a whole: hostile bytes, its end, and the lines it prints for people."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from .client import TIMEOUT, Lines, Silence, unique, wait
from .crossing import one_each
from .mqtt import PahoConnection
from .server import Watersmeet, ends_in_time

DEFAULT_PORTS = {"tcp": [1883, 5683, 5684, 8083, 8084, 8883, 18083, 61613], "udp": [1884, 5683, 5684, 14567]}

MALFORMED = {
    "mqtt": [
        b"\x00\x00",
        b"\x10\xff\xff\xff\xff\x7f",
        b"\x10\x04\x00\x04MQ",
        b"\x10\x0c\x00\x04MQTT\x09\x02\x00\x05\x00\x00",
        b"\x30\x03\x00\x01a",
        b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x05\x00\x01c\x30\x05\x00\x03\xff\xfe\xfd",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    "stomp": [b"\x00\x00\x00", b"HELO\n\n\x00", b"CONNECT\nno colon\n\n\x00", b"SEND\ndestination:a\n\nx\x00"],
    "http": [b"\x00\xff\x00\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"],
    "mqtt-sn": [b"", b"\x00", b"\x01", b"\x02\xff", b"\xff\x04", b"\x01\xff\xff\x0c", b"\x03\xfe\x01\x03\xfe\x01"],
    "quic": [b"", b"\x00", b"\xc0\x00\x00\x00\x01\xff", b"\xff" * 1200, b"\xc0\x00\x00\x00\x01\x08" + b"\x00" * 1200],
    "coap-tcp": [b"\x01\x01t", b"\x00\xe1\x0f", b"\x00\xe1\xf0\xff\xff\xff\xff", b"\x00\xe1\x10\x01\xff", b"GET / HTTP/1.1\r\n\r\n"],
    "coap": [b"", b"\x00", b"\xff\xff\xff\xff", b"\x4f\x01\x00\x01", b"\x40\x01\x00\x01\xff", b"\x40\x01\x00\x01\xf0"],
}
"""Per listener: bytes that are no beginning of a conversation. A stream must be closed upon each."""


def checks(board, ports, everyone):
    board.section("hostile bytes")
    for listener, inputs in MALFORMED.items():
        if listener in ports:
            board.check(f"bytes that are no {listener} end only their sender", hostile, ports, listener, inputs, everyone)


def hostile(ports, listener, inputs, everyone):
    """One peer of every protocol is subscribed before, and is given a message after."""
    topic = unique("interop/hostile/")
    with ExitStack() as stack:
        subscriptions = [stack.enter_context(client.subscribe(topic)) for client in one_each(everyone)]
        for malformed in inputs:
            if listener in ("mqtt", "stomp", "http", "coap-tcp"):
                _is_closed_upon(ports[listener], malformed)
            else:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
                    peer.sendto(malformed, ("127.0.0.1", ports[listener]))
        with PahoConnection(ports["mqtt"], 5) as publisher:
            publisher.publish(topic, b"still here")
        for subscription in subscriptions:
            subscription.expect(b"still here")


def _is_closed_upon(port, malformed):
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as peer:
        peer.sendall(malformed)
        try:
            while peer.recv(4096):
                pass
        except ConnectionResetError:
            pass
        except TimeoutError:
            raise Silence(f"{malformed!r} does not close the connection within {TIMEOUT:g} s") from None


def ending(board, binary):
    board.section("the server's end")
    board.check("SIGTERM: MQTT 5 clients are told 0x8B, the exit code is 0", drains, binary)
    board.check("SIGTERM: the next server on the same ports is reached again", restarts, binary)
    board.check("SIGHUP: the server stays, and so do its clients", reloads, binary)
    board.check("the lines that the server prints work as they stand", banner, binary)


def drains(binary):
    with Watersmeet(binary) as server:
        connection = PahoConnection(server.ports["mqtt"], 5)
        older = PahoConnection(server.ports["mqtt"], 4)
        code = server.stop()
        wait(connection.disconnected, "DISCONNECT")
        wait(older.disconnected, "end of the MQTT 3.1.1 connection")
        reason = connection.disconnect_reason
        connection.close()
        older.close()
    if code != 0:
        raise AssertionError(f"the exit code is {code}")
    if reason.value != 0x8B:
        raise AssertionError(f"the reason is {reason} ({reason.value:#x})")


def restarts(binary):
    with tempfile.TemporaryDirectory(prefix="watersmeet-") as folder:
        with Watersmeet(binary, Path(folder)) as first:
            ports = first.ports
            with PahoConnection(ports["mqtt"], 5) as connection:
                connection.publish(unique("interop/restart/"), b"before")
        with Watersmeet(binary, Path(folder), ports), PahoConnection(ports["mqtt"], 5) as connection:
            connection.publish(unique("interop/restart/"), b"after")


def reloads(binary):
    topic = unique("interop/reload/")
    with Watersmeet(binary) as server, PahoConnection(server.ports["mqtt"], 5) as connection:
        connection.subscribe(topic)
        server.process.send_signal(signal.SIGHUP)
        connection.publish(topic, b"after the reload")
        connection.subscription.expect(b"after the reload")
        if connection.disconnected.is_set():
            raise AssertionError(f"the client was disconnected: {connection.disconnect_reason}")


def banner(binary):
    """Starts the server as a person would, pastes its lines into a shell, and watches what they do."""
    taken = [port for port in DEFAULT_PORTS["tcp"] if _is_taken(port, socket.SOCK_STREAM)]
    taken += [port for port in DEFAULT_PORTS["udp"] if _is_taken(port, socket.SOCK_DGRAM)]
    if taken:
        raise AssertionError(f"the default ports {taken} are taken by another program on this machine")
    with tempfile.TemporaryDirectory(prefix="watersmeet-") as folder:
        command = ["stdbuf", "-oL", binary, "serve"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WATERSMEET_")}
        environment["XDG_STATE_HOME"] = folder
        with (Path(folder) / "log.txt").open("wb") as log:
            server = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, cwd=folder, env=environment, text=True
            )
        lines = Lines(server.stdout)
        try:
            lines.until(lambda line: "/readyz" in line, "the banner")
            _paste([line.strip() for line in lines.seen if re.match(r"  [\w-]+ .*\b(127\.0\.0\.1|\[::1\])", line)])
        finally:
            server.terminate()
            ends_in_time(server)


def _paste(lines):
    listeners = [line for line in lines if re.search(r"^[\w-]+ +[\w+-]+ +(tcp|tls|ws|wss|quic|udp|dtls) ", line)]
    commands = [line for line in lines if line not in listeners]
    if len(listeners) < 10 or len(commands) < 10:
        raise AssertionError(f"expected 10 listeners and 10 commands, found {lines}")
    watching = [line for line in commands if line.startswith(("mosquitto_sub", "stomp "))]
    doing = [line for line in commands if line not in watching]
    with ExitStack() as stack:
        watchers = [stack.enter_context(_Pasted(line)) for line in watching]
        for watcher in watchers:
            watcher.probe()
        for line in doing:
            done = subprocess.run(line, shell=True, capture_output=True, text=True, timeout=TIMEOUT, env=_shell())
            output = done.stdout + done.stderr
            if done.returncode != 0 or re.search(r"error|\b[45]\.\d\d\b", output, re.IGNORECASE):
                raise AssertionError(f"{line}: exit code {done.returncode}, {output!r}")
            if "21.5" in line:
                for watcher in watchers:
                    watcher.lines.until(lambda printed: "21.5" in printed, f"what `{line}` published")


class _Pasted:
    """A pasted line that goes on until it is ended."""

    def __init__(self, line):
        self.line = line
        self.process = subprocess.Popen(
            f"exec stdbuf -oL {line}",
            shell=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=_shell(),
        )
        self.lines = Lines(self.process.stdout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        ends_in_time(self.process)

    def probe(self):
        """Publishes until the line shows it: it does not say when it has subscribed."""
        with PahoConnection(DEFAULT_PORTS["tcp"][0], 5) as publisher:
            for _ in range(int(TIMEOUT / 0.1)):
                publisher.publish("demo/temperature", b"probe")
                try:
                    return self.lines.until(lambda printed: "probe" in printed, "the probe", 0.1)
                except Silence:
                    pass
        raise Silence(f"`{self.line}` shows nothing: {self.lines.seen}")


def _shell():
    """The environment of a person who has installed what the banner asks for."""
    environment = dict(os.environ, PYTHONUNBUFFERED="1")
    node = Path(__file__).parent / "node" / "node_modules" / ".bin"
    environment["PATH"] = f"{Path(sys.executable).parent}:{node}:{environment['PATH']}"
    return environment


def _is_taken(port, kind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
