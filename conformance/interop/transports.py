"""MQTT over everything that carries it, between clients that reach the server in different ways."""

import socket
import tempfile
from pathlib import Path

from .crossing import crosses
from .mqtt import Mosquitto, MqttJs, Paho, Way
from .server import Watersmeet

UNIX = """
[listeners.unix]
protocol = "mqtt"
transport = "unix"
bind = "{path}"
"""

IPV6 = """
[listeners.ipv6]
protocol = "mqtt"
bind = "[::1]:0"
"""


def table(board, binary, node):
    """Each client publishes to each client, whatever carries their bytes."""
    title = "MQTT 5 over every transport"
    if not board.wants(title):
        return
    with tempfile.TemporaryDirectory(prefix="watersmeet-") as name:
        folder = Path(name)
        path = folder / "mqtt.sock"
        more = UNIX.format(path=path) + (IPV6 if _has_ipv6() else "")
        with Watersmeet(binary, folder, more=more) as server:
            clients = _clients(server, path, node)
            board.table(title, clients, clients, crosses, "publisher \\ subscriber")


def _clients(server, path, node):
    ports = server.ports
    tcp, tls = Way("tcp", ports["mqtt"]), Way("tls", ports["mqtts"], ca=server.ca)
    ws, wss = Way("ws", ports["ws"]), Way("wss", ports["wss"], ca=server.ca)
    found = [("mosquitto tls", Mosquitto(0, 5, tls)), ("mosquitto unix", Mosquitto(0, 5, Way("unix", 0, path=path)))]
    if "ipv6" in ports:
        found.append(("mosquitto IPv6", Mosquitto(0, 5, Way("tcp", ports["ipv6"], host="::1"))))
    found += [(f"paho {way.transport}", Paho(0, 5, way)) for way in (tcp, tls, ws, wss)]
    found += [(f"mqtt.js {way.transport}", MqttJs(node, 0, 5, way)) for way in (tls, ws, wss)]
    return found


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
