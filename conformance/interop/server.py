"""The servers under test, on free ports of 127.0.0.1."""

import json
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from .client import Silence

START = 20.0
"""How long a server may take to start or to stop, in seconds."""

LISTENERS = {
    "mqtt": "listeners.mqtt",
    "mqtts": "listeners.mqtts",
    "ws": "listeners.ws",
    "wss": "listeners.wss",
    "quic": "listeners.quic",
    "mqtt-sn": "listeners.mqtt-sn",
    "coap": "listeners.coap",
    "coap-tcp": "listeners.coap-tcp",
    "coaps-tcp": "listeners.coaps-tcp",
    "coaps": "listeners.coaps",
    "stomp": "listeners.stomp",
    "http": "http",
}
"""The name of each listener in the ready file, and its section of the configuration."""


class Watersmeet:
    """One run of our server; `folder` holds its data and outlives it."""

    def __init__(self, binary: str, folder: Path | None = None, ports: dict | None = None, more: str = "", within=()):
        """Starts it on these ports, or on any that are free; `more` is added to its configuration, `within` put before
        its command."""
        self._temporary = None
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="watersmeet-")
            folder = Path(self._temporary.name)
        ready, config = folder / "ready.json", folder / "watersmeet.toml"
        ready.unlink(missing_ok=True)
        binds = [
            f'[{section}]\nbind = "127.0.0.1:{(ports or {}).get(name, 0)}"\n'
            for name, section in LISTENERS.items()
        ]
        config.write_text("".join([f'state_directory = "{folder}"\n', *binds]) + more)
        self.ca = folder / "tls" / "ca.pem"
        self.log = folder / "log.txt"
        with self.log.open("ab") as log:
            command = [*within, binary, "serve", "--config", str(config), "--ready-file", str(ready)]
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        _await(lambda: _whole_json(ready), self.process, f"no {ready.name}", self.log)
        listeners = json.loads(ready.read_text())["listeners"]
        addresses = {name: address for name, address in listeners.items() if not address.startswith("/")}
        self.ports = {name: int(address.rsplit(":", 1)[1]) for name, address in addresses.items()}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        if self._temporary:
            self._temporary.cleanup()

    def stop(self) -> int:
        """Ends the server with SIGTERM and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return ends_in_time(self.process)


@contextmanager
def arranged(binary: str, make):
    """What `make` puts into a folder, and a server with its configuration."""
    with tempfile.TemporaryDirectory(prefix="arranged-") as folder:
        made = make(Path(folder))
        with Watersmeet(binary, more=made.configuration()) as server:
            yield made, server


class Broker:
    """mosquitto, to prove the MQTT checks on; `more` is its configuration beside the listener."""

    def __init__(self, binary: str, more: str = "allow_anonymous true\n"):
        self._temporary = tempfile.TemporaryDirectory(prefix="mosquitto-")
        folder = Path(self._temporary.name)
        port = free_port()
        config, log = folder / "mosquitto.conf", folder / "log.txt"
        config.write_text(f"listener {port} 127.0.0.1\n{more}")
        with log.open("ab") as output:
            self.process = subprocess.Popen([binary, "-c", str(config)], stdout=output, stderr=output)
        _await(lambda: _accepts(port), self.process, "nobody listens", log)
        self.ports = {"mqtt": port}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        ends_in_time(self.process)
        self._temporary.cleanup()


def ends_in_time(process) -> int:
    """Waits for a process that was told to end, and returns its exit code."""
    try:
        return process.wait(START)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise Silence(f"{process.args} does not end within {START:g} s of SIGTERM") from None


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _await(condition, process, complaint, log):
    """Looks for the condition until it holds, the process ends, or START has passed."""
    end = time.monotonic() + START
    while not condition():
        if process.poll() is not None:
            raise Silence(f"{complaint}; the process ended with {process.returncode}:\n{log.read_text()}")
        if time.monotonic() > end:
            process.kill()
            raise Silence(f"{complaint} within {START:g} s:\n{log.read_text()}")
        time.sleep(0.02)


def _whole_json(path) -> bool:
    try:
        json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return True


def _accepts(port) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
