"""Access files as Mosquitto understands them: the same file and password file, its verdicts and ours.

Two things differ and are left out. Mosquitto grants every subscription and then delivers nothing, ours refuses one of
which nothing can be read. And a name with a slash stands for several levels there, while here it is granted nothing.
"""

import base64
import hashlib
import random
import select
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from .client import TIMEOUT, Silence
from .server import Broker, Watersmeet

FILES = 25
"""How many files are made up, each from its own seed."""

SEED = 1

USERS = [None, "ann", "bob"]
LEVELS = ["a", "b", "ann", "c1", "%u", ""]
TOPICS = ["a", "b", "a/b", "b/a", "a/a", "a/ann", "a/bob", "b/c1", "b/c2", "a/%u", "a/b/c1", "b/a/ann", "/a", "a/", "$x/a"]
FILTERS = ["#", "a/#", "+/b", "a/+", "a/b", "b/a/+", "+/+/c1", "$x/#"]
WRITER = "user root\ntopic readwrite #\ntopic readwrite $x/#\n"
"""Who can read and write all, so that the others' rights are seen one by one."""


def checks(board, binary):
    """Compares both servers where mosquitto is installed."""
    mosquitto = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if mosquitto is None:
        print("\naccess files, beside mosquitto: left out, there is no mosquitto on this machine")
        return
    board.section("access files, beside mosquitto")
    board.check(f"{FILES} access files give and deny the same", compares, binary, mosquitto, range(SEED, SEED + FILES))


def compares(binary, mosquitto, seeds):
    """Raises with the first file that they judge differently."""
    for seed in seeds:
        acl = made_up(random.Random(seed))
        # What a slow machine delivers late is no difference.
        for patience in (0.15, 1.5):
            theirs, ours = _judged_by_mosquitto(mosquitto, acl, patience), _judged_by_us(binary, acl, patience)
            if theirs == ours:
                break
        else:
            only = [f"only theirs {line}" for line in sorted(theirs - ours)]
            only += [f"only ours {line}" for line in sorted(ours - theirs)]
            raise AssertionError(f"seed {seed}:\n{acl}\n" + "\n".join(only[:20]))


def made_up(chance) -> str:
    """An access file."""
    lines = [_line(chance, "topic") for _ in range(chance.randint(0, 3))]
    for user in chance.sample(USERS[1:], chance.randint(0, 2)):
        lines += [f"user {user}", *(_line(chance, "topic") for _ in range(chance.randint(0, 5)))]
        if chance.random() < 0.3:
            lines.append(_line(chance, "pattern"))
    lines += [_line(chance, "pattern") for _ in range(chance.randint(0, 4))]
    lines = [line if chance.random() < 0.9 else f"# {line}\n\n{line}" for line in lines]
    return "\n".join(lines) + "\n" + WRITER


def _line(chance, keyword) -> str:
    levels = [chance.choice(LEVELS[:4] * 2 + LEVELS + ["+", "+"]) for _ in range(chance.randint(1, 3))]
    if keyword == "pattern":
        levels = [chance.choice([level, "%u", "%c"]) if chance.random() < 0.4 else level for level in levels]
    if chance.random() < 0.4:
        levels.append("#")
    if chance.random() < 0.1:
        levels = ["#"] if chance.random() < 0.5 else ["$x", "#"]
    access = chance.choice(["", "read ", "write ", "readwrite ", "deny "])
    return f"{keyword} {access}{'/'.join(levels) or 'a'}"


def _judged_by_mosquitto(mosquitto, acl, patience):
    with tempfile.TemporaryDirectory(prefix="acl-") as name:
        more = _files(Path(name), acl, "{key} {path}\n") + "allow_anonymous true\n"
        with Broker(mosquitto, more) as broker:
            return _verdicts(broker.ports["mqtt"], patience)


def _judged_by_us(binary, acl, patience):
    with tempfile.TemporaryDirectory(prefix="acl-") as name:
        more = "[access]\n" + _files(Path(name), acl, '{key} = "{path}"\n')
        with Watersmeet(binary, more=more) as server:
            return _verdicts(server.ports["mqtt"], patience)


def _files(folder, acl, form) -> str:
    passwords = "".join(f"{user}:{_hash(user)}\n" for user in ["root", *USERS[1:]])
    texts = {"password_file": passwords, "acl_file": acl}
    for key, text in texts.items():
        (folder / key).write_text(text)
        (folder / key).chmod(0o644)
    folder.chmod(0o755)  # mosquitto gives up its rights as root
    return "".join(form.format(key=key, path=folder / key) for key in texts)


def _hash(password) -> str:
    salt = b"salt of interop"[:12]
    found = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return f"$7$101${base64.b64encode(salt).decode()}${base64.b64encode(found).decode()}"


def _verdicts(port, patience) -> set:
    """What anybody could publish, and what came to whom through which filter."""
    with ExitStack() as stack:
        peer = lambda *names: stack.enter_context(Peer(port, *names))
        root, watch = peer("root", "root"), peer("watch", "root")
        for filter in ("#", "$x/#"):
            watch.subscribe(filter)
        readers = [(user, filter, peer(f"c{number}", user)) for number, (user, filter) in
                   enumerate(((user, filter) for user in USERS for filter in FILTERS), 2)]
        for _, filter, reader in readers:
            reader.subscribe(filter)
        for topic in TOPICS:
            root.publish(topic, "root")
        verdicts = set()
        for user in USERS:
            publisher = peer("c1" if user is None else f"{user}s", user)
            for topic in TOPICS:
                if not publisher.publish(topic, str(user)):
                    verdicts.add(f"{user} may not publish {topic!r}")
        for topic, payload in watch.received(patience):
            verdicts.add(f"{payload} published {topic!r}")
        for user, filter, reader in readers:
            for topic, payload in reader.received(patience / 10):
                verdicts.add(f"{user} got {topic!r} of {payload} through {filter!r}")
        return verdicts


class Peer:
    """A connection of MQTT 5, byte by byte."""

    def __init__(self, port, client_id, username):
        self._socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self._unread, self._messages, self._packet = b"", [], 0
        named = _text(username) + _text(username) if username else b""
        flags = b"\xc2" if username else b"\x02"
        self._send(0x10, b"\x00\x04MQTT\x05" + flags + b"\x00\x00\x00" + _text(client_id) + named)
        connack = self._await(0x20)
        if connack[1] != 0:
            raise AssertionError(f"{username} was refused with {connack[1]:#x}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def subscribe(self, filter):
        self._packet += 1
        self._send(0x82, struct.pack(">HB", self._packet, 0) + _text(filter) + b"\x00")
        self._await(0x90)

    def publish(self, topic, payload) -> bool:
        """Whether it was taken, with QoS 1."""
        self._packet += 1
        self._send(0x32, _text(topic) + struct.pack(">HB", self._packet, 0) + payload.encode())
        puback = self._await(0x40)
        return len(puback) == 2 or puback[2] < 0x80

    def received(self, quiet):
        """What comes until nothing does for so long."""
        while select.select([self._socket], [], [], quiet)[0]:
            self._read()
        return self._messages

    def _send(self, kind, body):
        length = bytes([len(body)]) if len(body) < 128 else bytes([len(body) % 128 | 128, len(body) // 128])
        self._socket.sendall(bytes([kind]) + length + body)

    def _await(self, kind) -> bytes:
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            found = self._read()
            for first, body in found:
                if first & 0xF0 == kind & 0xF0:
                    return body
        raise Silence(f"no packet {kind:#x} within {TIMEOUT:g} s")

    def _read(self):
        """The packets that are there, without messages, which are kept."""
        more = self._socket.recv(65536)
        if not more:
            raise Silence("the connection was closed")
        self._unread += more
        packets = []
        while len(self._unread) > 1:
            length, at, shift = 0, 1, 0
            while at < len(self._unread):
                length |= (self._unread[at] & 127) << shift
                at, shift = at + 1, shift + 7
                if self._unread[at - 1] < 128:
                    break
            if len(self._unread) < at + length:
                break
            packets.append((self._unread[0], self._unread[at:at + length]))
            self._unread = self._unread[at + length:]
        messages = [body for first, body in packets if first & 0xF0 == 0x30]
        self._messages += [self._message(body) for body in messages]
        return [packet for packet in packets if packet[0] & 0xF0 != 0x30]

    @staticmethod
    def _message(body):
        end = 2 + struct.unpack(">H", body[:2])[0]
        return body[2:end].decode(), body[end + 1 + body[end]:].decode()


def _text(text) -> bytes:
    return struct.pack(">H", len(text.encode())) + text.encode()
