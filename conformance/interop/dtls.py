"""DTLS, and TLS with pre-shared keys: the clients of libcoap, OpenSSL and Mosquitto."""

import os
import subprocess
import tempfile
import time
from pathlib import Path

from .client import TIMEOUT, Silence, unique
from .coap import uri
from .mqtt import PahoConnection
from .pki import Authority
from .server import Watersmeet, arranged

CLIENTS = ("coap-client-openssl", "coap-client-gnutls")

KEY = "30313233343536373839616263646566"
"""The key of dev1: clients of libcoap take it as text, those of OpenSSL and Mosquitto in hexadecimal."""

KEYED_LISTENERS = {"coaps": "coaps", "coaps+tcp": "coap-keyed"}
"""Where keys are taken: DTLS, and TLS."""

KEYED_SUITES = (
    "PSK-AES128-CCM8",
    "PSK-AES256-CCM8",
    "PSK-AES128-CCM",
    "PSK-AES256-CCM",
    "PSK-AES128-GCM-SHA256",
    "PSK-AES256-GCM-SHA384",
    "PSK-CHACHA20-POLY1305",
    "ECDHE-PSK-CHACHA20-POLY1305",
    "PSK-AES128-CBC-SHA256",
    "PSK-AES256-CBC-SHA384",
    "ECDHE-PSK-AES128-CBC-SHA256",
    "ECDHE-PSK-AES256-CBC-SHA384",
)

CERTIFIED_SUITES = (
    "ECDHE-ECDSA-AES128-CCM8",
    "ECDHE-ECDSA-AES256-CCM8",
    "ECDHE-ECDSA-AES128-CCM",
    "ECDHE-ECDSA-AES256-CCM",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-SHA384",
)

DISCOVERY = b"\x40\x01\x00%c\xbb.well-known\x04core"
"""GET /.well-known/core with a message id."""


class World:
    """The files of a server that takes keys, and on one listener client certificates."""

    def __init__(self, folder: Path, binary: str):
        self.folder, self.binary = folder, binary
        self.keys = folder / "psk"
        self.psk("add", "dev1", "--key", KEY)
        self.ours, self.theirs = Authority(folder, "ours"), Authority(folder, "theirs")
        self.server = self.ours.issue("server", server=True)
        self.good, self.revoked = self.ours.issue("good"), self.ours.issue("revoked")
        self.stranger = self.theirs.issue("stranger")
        self.crl = folder / "ours.crl"
        self.ours.revoke(self.crl, self.revoked)

    def psk(self, *words) -> str:
        command = [self.binary, "psk", *words, "--file", str(self.keys)]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT).stdout

    def configuration(self) -> str:
        return f"""
[access]
psk_file = "{self.keys}"
[tls.strict]
certificates = [{{ chain = "{self.server.chain}", key = "{self.server.key}" }}]
client_ca = "{self.ours.file}"
client_certificate = "required"
crl = ["{self.crl}"]
[listeners.coaps-strict]
protocol = "coap"
transport = "dtls"
tls = "strict"
bind = "127.0.0.1:0"
[listeners.keyed]
protocol = "mqtt"
transport = "tls-psk"
bind = "127.0.0.1:0"
[listeners.coap-keyed]
protocol = "coap"
transport = "tls-psk"
bind = "127.0.0.1:0"
"""


def world(binary):
    return arranged(binary, lambda folder: World(folder, binary))


def checks(board, binary):
    board.section("DTLS and pre-shared keys")
    for client in CLIENTS:
        for scheme in KEYED_LISTENERS:
            title = f"{client} publishes by {scheme} with the right key, and with no other"
            board.check(title, keyed, binary, client, scheme)
        board.check(f"{client} trusts the server's CA, and no other", trusts, binary, client)
        board.check(f"{client} is let in with a good certificate, and with no other", admits, binary, client)
    board.check("openssl s_client speaks every suite", suites, binary)
    board.check("mosquitto_pub publishes with the right key: QoS 0 to 2, and 600 KB", mosquitto, binary)
    board.check("keys are added and removed while the server runs", changes, binary)
    board.check("a session goes on after a restart", restarts, binary)


def keyed(binary, client, scheme):
    with world(binary) as (_, server), PahoConnection(server.ports["mqtt"], 5) as watcher:
        topic = unique("interop/dtls/")
        watcher.subscribe(topic)
        attempts = (("dev1", "0123456789abcdef", True), ("dev1", "other", False), ("dev2", "x", False))
        for identity, key, is_good in attempts:
            payload = unique("payload ")
            port = server.ports[KEYED_LISTENERS[scheme]]
            coap(client, port, topic, payload, "-u", identity, "-k", key, scheme=scheme)
            if is_good:
                watcher.subscription.expect(payload.encode())
        nothing(watcher.subscription)


def trusts(binary, client):
    with world(binary) as (made, server), PahoConnection(server.ports["mqtt"], 5) as watcher:
        topic = unique("interop/dtls/")
        watcher.subscribe(topic)
        coap(client, server.ports["coaps"], topic, "wrong", "-R", str(made.theirs.file))
        coap(client, server.ports["coaps"], topic, "right", "-R", str(server.ca))
        watcher.subscription.expect(b"right")


def admits(binary, client):
    with world(binary) as (made, server), PahoConnection(server.ports["mqtt"], 5) as watcher:
        topic, port = unique("interop/dtls/"), server.ports["coaps-strict"]
        watcher.subscribe(topic)
        for pair in (made.stranger, made.revoked):
            coap(client, port, topic, "wrong", "-R", str(made.ours.file), "-c", str(pair.chain), "-j", str(pair.key))
        coap(client, port, topic, "wrong", "-R", str(made.ours.file))
        good = ("-c", str(made.good.chain), "-j", str(made.good.key))
        coap(client, port, topic, "right", "-R", str(made.ours.file), *good)
        watcher.subscription.expect(b"right")


def suites(binary):
    with world(binary) as (_, server):
        for suite in KEYED_SUITES:
            asks(server.ports["coaps"], "-psk_identity", "dev1", "-psk", KEY, "-cipher", f"{suite}:@SECLEVEL=0")
        for suite in CERTIFIED_SUITES:
            trust = ("-CAfile", str(server.ca), "-verify_return_error")
            asks(server.ports["coaps"], *trust, "-cipher", f"{suite}:@SECLEVEL=0")


def mosquitto(binary):
    with world(binary) as (made, server), PahoConnection(server.ports["mqtt"], 5) as watcher:
        topic = unique("interop/psk/")
        watcher.subscribe(topic)
        for qos in (0, 1, 2):
            published(server, "dev1", KEY, "-t", topic, "-q", str(qos), "-m", f"qos {qos}")
            watcher.subscription.expect(f"qos {qos}".encode())
        large = os.urandom(600_000)
        (made.folder / "large").write_bytes(large)
        published(server, "dev1", KEY, "-t", topic, "-q", "2", "-f", str(made.folder / "large"))
        watcher.subscription.expect(large)
        for identity, key in (("dev1", "00"), ("dev2", KEY)):
            if publish(server, identity, key, "-t", topic, "-m", "wrong").returncode == 0:
                raise AssertionError(f"{identity} was let in with the key {key}")
        nothing(watcher.subscription)


def changes(binary):
    with world(binary) as (made, server):
        key = made.psk("add", "dev2").strip().split(":")[1]
        _until(lambda: publish(server, "dev2", key, "-t", "x", "-m", "y").returncode == 0, "dev2 is let in")
        keyed_suite = ("-cipher", "PSK-AES128-GCM-SHA256:@SECLEVEL=0")
        with Client(server.ports["coaps"], "-psk_identity", "dev2", "-psk", key, *keyed_suite) as session:
            session.ask(1)
            made.psk("remove", "dev2")
            _until(lambda: publish(server, "dev2", key, "-t", "x", "-m", "y").returncode != 0, "dev2 is kept out")
            if session.answers(2):
                raise AssertionError("a session of a key that is gone goes on")
        published(server, "dev1", KEY, "-t", "x", "-m", "y")


def restarts(binary):
    with tempfile.TemporaryDirectory(prefix="dtls-") as folder:
        made, state = World(Path(folder), binary), Path(folder) / "server"
        state.mkdir()
        first = Watersmeet(binary, folder=state, more=made.configuration())
        try:
            port = first.ports["coaps"]
            keyed_suite = ("-cipher", "PSK-AES128-CCM8:@SECLEVEL=0")
            with Client(port, "-psk_identity", "dev1", "-psk", KEY, *keyed_suite) as session:
                session.ask(1)
                first.stop()
                kept = state / "dtls" / "coaps.sessions"
                if kept.stat().st_mode & 0o777 != 0o600:
                    raise AssertionError("others may read the keys of sessions")
                with Watersmeet(binary, folder=state, ports={"coaps": port}, more=made.configuration()):
                    if kept.exists():
                        raise AssertionError("sessions could come back twice")
                    session.ask(2)
        finally:
            first.stop()


class Client:
    """openssl s_client, which sends what it is given as records."""

    def __init__(self, port: int, *words):
        command = ["openssl", "s_client", "-dtls1_2", "-quiet", "-connect", f"127.0.0.1:{port}", *words]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, bufsize=0, **pipes)
        os.set_blocking(self.process.stdout.fileno(), False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def ask(self, number: int):
        """Asks the server what it has; raises Silence if it does not tell."""
        if not self.answers(number):
            raise Silence(f"no answer within {TIMEOUT:g} s")

    def answers(self, number: int, patience: float = TIMEOUT) -> bool:
        """Sends a request until it is answered, as CoAP does."""
        end, next_try, heard = time.monotonic() + patience, 0.0, b""
        while time.monotonic() < end and self.process.poll() is None:
            if time.monotonic() >= next_try:
                self.process.stdin.write(DISCOVERY % number)
                next_try = time.monotonic() + 1.0
            heard += self.process.stdout.read() or b""
            if b"\x60\x45\x00%c" % number in heard:
                return True
            time.sleep(0.02)
        return False


def asks(port, *words):
    with Client(port, *words) as client:
        try:
            client.ask(1)
        except Silence as silence:
            raise Silence(f"openssl s_client {' '.join(words)}: {silence}") from None


def coap(client, port, topic, payload, *words, scheme="coaps"):
    """PUTs a payload; whether it arrived is for others to see, since the client says nothing."""
    command = [client, *words, "-B", "5", "-m", "put", "-e", payload, uri(port, topic, scheme=scheme)]
    subprocess.run(command, capture_output=True, timeout=3 * TIMEOUT, check=False)


def publish(server, identity, key, *words):
    command = ["mosquitto_pub", "-h", "127.0.0.1", "-p", str(server.ports["keyed"])]
    command += ["--psk-identity", identity, "--psk", key, *words]
    return subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)


def published(server, identity, key, *words):
    done = publish(server, identity, key, *words)
    if done.returncode != 0:
        raise AssertionError(f"mosquitto_pub ended with {done.returncode}: {done.stderr.decode()}")


def nothing(subscription):
    """Nothing has come that was not awaited."""
    try:
        message = subscription.receive(0.5)
    except Silence:
        return
    raise AssertionError(f"{message} should not have come")


def _until(condition, what):
    end = time.monotonic() + TIMEOUT
    while not condition():
        if time.monotonic() > end:
            raise Silence(f"{what}: not within {TIMEOUT:g} s")
        time.sleep(0.1)
