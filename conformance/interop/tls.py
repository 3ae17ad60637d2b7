"""TLS: whom clients trust, whom the server lets in, and what changes while it runs."""

import os
import socket
import ssl
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from .client import TIMEOUT, Silence, unique
from .pki import DAY, Authority
from .server import arranged

CONNACK = b"\x20\x02\x00\x00"


class World:
    """A server with two TLS listeners: `open` asks for no certificate, `strict` requires one."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.ours, self.theirs = Authority(folder, "ours"), Authority(folder, "theirs")
        self.renew("first")
        self.good = self.ours.issue("good")
        self.revoked = self.ours.issue("revoked")
        self.expired = self.ours.issue("expired", valid=-DAY)
        self.stranger = self.theirs.issue("stranger")
        self.crl = folder / "ours.crl"
        self.ours.revoke(self.crl, self.revoked)

    def renew(self, name: str):
        """Gives the server another certificate, by moving a link as Kubernetes does."""
        version = self.folder / name
        version.mkdir()
        pair = self.ours.issue(name, server=True, file=f"{name}-server")
        os.replace(pair.chain, version / "tls.crt")
        os.replace(pair.key, version / "tls.key")
        link = self.folder / "link.new"
        link.symlink_to(version)
        os.replace(link, self.folder / "current")

    def configuration(self) -> str:
        files = f'chain = "{self.folder}/current/tls.crt", key = "{self.folder}/current/tls.key"'
        return f"""
[tls.open]
certificates = [{{ {files} }}]
[tls.strict]
certificates = [{{ {files} }}]
client_ca = "{self.ours.file}"
client_certificate = "required"
crl = ["{self.crl}"]
[listeners.tls-open]
protocol = "mqtt"
transport = "tls"
bind = "127.0.0.1:0"
tls = "open"
[listeners.tls-strict]
protocol = "mqtt"
transport = "tls"
bind = "127.0.0.1:0"
tls = "strict"
"""


def world(binary):
    return arranged(binary, World)


def checks(board, binary):
    board.section("TLS")
    board.check("a client that trusts the server's CA publishes; one that trusts another does not", trusts, binary)
    board.check("a certificate is required: good is let in; none, unknown, expired and revoked are not", admits, binary)
    board.check("TLS 1.2 and 1.3 are spoken, older versions are not", versions, binary)
    board.check("a renewed certificate is used at once, and nobody is dropped for it", renews, binary)
    board.check("a certificate that is revoked while the server runs is refused, resumption or not", revokes, binary)
    board.check("bytes that are no TLS end only their sender", plain, binary)


def trusts(binary):
    with world(binary) as (made, server):
        port = server.ports["tls-open"]
        published(publish(port, made.ours))
        refused(publish(port, made.theirs))
        published(publish(port, made.ours))


def admits(binary):
    with world(binary) as (made, server):
        port = server.ports["tls-strict"]
        published(publish(port, made.ours, made.good))
        for pair in (None, made.stranger, made.expired, made.revoked):
            refused(publish(port, made.ours, pair))
        published(publish(port, made.ours, made.good))


def versions(binary):
    with world(binary) as (made, server):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with opened(server.ports["tls-open"], made, only=version) as client:
                if client.version() != {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]:
                    raise AssertionError(f"{client.version()} instead of {version.name}")
        try:
            with opened(server.ports["tls-open"], made, only=ssl.TLSVersion.TLSv1_1):
                raise AssertionError("TLS 1.1 is spoken")
        except (ssl.SSLError, OSError):
            pass


def renews(binary):
    with world(binary) as (made, server), opened(server.ports["tls-open"], made) as old:
        before = old.getpeercert()["serialNumber"]
        made.renew("second")
        end = time.monotonic() + TIMEOUT
        while True:
            with opened(server.ports["tls-open"], made) as new:
                if new.getpeercert()["serialNumber"] != before:
                    break
            if time.monotonic() > end:
                raise Silence(f"the new certificate is not used within {TIMEOUT:g} s")
            time.sleep(0.1)
        old.sendall(b"\xc0\x00")
        if old.recv(2) != b"\xd0\x00":
            raise AssertionError("the client that was there before does not get its PINGRESP")


def revokes(binary):
    with world(binary) as (made, server):
        port = server.ports["tls-strict"]
        context = trusting(made, made.good)
        with opened(port, made, context=context) as client:
            session = client.session
        made.ours.revoke(made.crl, made.revoked, made.good)
        end = time.monotonic() + TIMEOUT
        while publish(port, made.ours, made.good).returncode == 0:
            if time.monotonic() > end:
                raise Silence(f"the revoked certificate is let in after {TIMEOUT:g} s")
            time.sleep(0.1)
        try:
            with opened(port, made, context=context, session=session):
                raise AssertionError("a session of the revoked client is resumed")
        except (ssl.SSLError, OSError):
            pass


def plain(binary):
    with world(binary) as (made, server):
        port = server.ports["tls-open"]
        for noise in (connect(), b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(70_000), b"\x00"):
            with socket.create_connection(("127.0.0.1", port), TIMEOUT) as peer:
                try:
                    peer.sendall(noise)
                    peer.shutdown(socket.SHUT_WR)
                    while peer.recv(4096):
                        pass
                except TimeoutError:
                    raise Silence(f"{noise[:20]!r} does not close the connection") from None
                except OSError:
                    pass  # closed while it was being sent
        published(publish(port, made.ours))


def publish(port, trusted, pair=None):
    """One mosquitto_pub over TLS."""
    command = ["mosquitto_pub", "-h", "localhost", "-p", str(port), "--cafile", str(trusted.file), "-q", "1"]
    command += ["-i", unique("tls-"), "-t", unique("interop/tls/"), "-m", "x"]
    command += ["--cert", str(pair.chain), "--key", str(pair.key)] if pair else []
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)


def published(done):
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(done.args)}: {done.returncode}, {done.stdout}{done.stderr}")


def refused(done):
    if done.returncode == 0:
        raise AssertionError(f"{' '.join(done.args)}: it was let in")


def connect() -> bytes:
    """A CONNECT of MQTT 3.1.1 with a client id of its own."""
    client_id = unique("tls").encode()
    body = b"\x00\x04MQTT\x04\x02\x00\x3c" + len(client_id).to_bytes(2, "big") + client_id
    return b"\x10" + bytes([len(body)]) + body


def trusting(made, pair=None, only=None):
    context = ssl.create_default_context(cafile=made.ours.file)
    if only:
        context.minimum_version = context.maximum_version = only
    if pair:
        context.load_cert_chain(pair.chain, pair.key)
    return context


@contextmanager
def opened(port, made, *, context=None, session=None, only=None):
    """A client of Python's ssl module that is connected."""
    context = context or trusting(made, only=only)
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as raw:
        with context.wrap_socket(raw, server_hostname="localhost", session=session) as client:
            client.sendall(connect())
            if client.recv(4) != CONNACK:
                raise OSError("no CONNACK")
            yield client
