"""MQTT: mosquitto_pub and mosquitto_sub, paho-mqtt, mqtt.js."""

import base64
import socket
import subprocess
import threading

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from .client import TIMEOUT, Client, Message, Silence, Subscription, unique, wait

LABEL = {4: "MQTT 3.1.1", 5: "MQTT 5"}


class Way:
    """How a server is reached: over what, at which port of which host, and whom to trust."""

    def __init__(self, transport: str, port: int, host: str = "127.0.0.1", ca=None, path=None):
        self.transport, self.port, self.host = transport, port, host
        self.ca, self.path = ca, path

    @property
    def is_secured(self) -> bool:
        return self.transport in ("tls", "wss")

    @property
    def is_web_socket(self) -> bool:
        return self.transport in ("ws", "wss")


class Mosquitto(Client):
    """The command-line tools of mosquitto-clients."""

    def __init__(self, port: int, version: int, way: Way | None = None):
        self.way, self.version = way or Way("tcp", port), version
        self.name, self.protocol = "mosquitto", LABEL[version]

    def publish(self, topic, payload, *, retain=False, content_type=None):
        command = ["mosquitto_pub", *self._common(topic), "-q", "1", "-s"]
        command += ["-r"] if retain else []
        command += ["-D", "publish", "content-type", content_type] if content_type else []
        done = subprocess.run(command, input=payload, capture_output=True, timeout=TIMEOUT)
        complaint = (done.stdout + done.stderr).decode(errors="replace").strip()
        if done.returncode != 0 or complaint:
            raise RuntimeError(f"mosquitto_pub: {complaint or done.returncode}")

    def subscribe(self, topic):
        # Into a pipe it would write its progress in whole blocks only.
        command = ["stdbuf", "-oL", "mosquitto_sub", *self._common(topic), "-q", "1", "-d", "-F", "\x02%r %q %x %t"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0)
        confirmed, ending = threading.Event(), threading.Event()

        def close():
            ending.set()
            _end(process)

        subscription = Subscription(close)
        arguments = (process, subscription, confirmed, ending)
        threading.Thread(target=self._read, args=arguments, daemon=True).start()
        try:
            wait(confirmed, "SUBACK for mosquitto_sub")
        except Silence:
            close()
            raise
        return subscription

    def _common(self, topic):
        version = {4: "mqttv311", 5: "mqttv5"}[self.version]
        way = self.way
        where = ["--unix", str(way.path)] if way.path else ["-h", way.host, "-p", str(way.port)]
        where += ["--cafile", str(way.ca)] if way.is_secured else []
        return [*where, "-V", version, "-i", unique("mosquitto-"), "-t", topic]

    @staticmethod
    def _read(process, subscription, confirmed, ending):
        for line in process.stdout:
            if ending.is_set():
                return  # a signal can make it write its last line again
            if line.startswith(b"Subscribed "):
                confirmed.set()
            elif line.startswith(b"\x02"):
                retain, qos, payload, topic = line[1:].decode().split(" ", 3)
                message = Message(bytes.fromhex(payload), topic.strip(), retain == "1", int(qos))
                subscription.put(message)


def _end(process):
    process.terminate()
    try:
        process.wait(TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()


class PahoConnection:
    """One connection of paho-mqtt, with its callbacks turned into events to wait for."""

    def __init__(
        self,
        port: int,
        version: int,
        client_id: str | None = None,
        clean: bool = True,
        will=None,
        way: Way | None = None,
    ):
        way = way or Way("tcp", port)
        self.connected, self.disconnected = threading.Event(), threading.Event()
        self.connect_reason = self.disconnect_reason = None
        self.session_present = None
        self.subscription = Subscription(self.close)
        self._confirmed = {}
        self._lock = threading.Lock()
        options = {"clean_session": clean} if version == 4 else {}
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=client_id or unique("paho-"),
            protocol=paho.MQTTv5 if version == 5 else paho.MQTTv311,
            reconnect_on_failure=False,
            transport="websockets" if way.is_web_socket else "tcp",
            **options,
        )
        if way.is_secured:
            self.client.tls_set(str(way.ca))
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_message = self._on_message
        self.client.on_subscribe = lambda _c, _u, mid, codes, _p: self._event(mid).set()
        if will:
            self.client.will_set(*will, qos=1)
        properties = None
        if version == 5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 0 if clean else 300
        start = {"clean_start": clean, "properties": properties} if version == 5 else {}
        self.client.connect(way.host, way.port, 60, **start)
        self.client.loop_start()
        wait(self.connected, "CONNACK for paho-mqtt")
        if self.connect_reason.is_failure:
            raise RuntimeError(f"paho-mqtt was refused: {self.connect_reason}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def publish(self, topic, payload, qos=1, retain=False, properties=None):
        sent = self.client.publish(topic, payload, qos, retain, properties)
        sent.wait_for_publish(TIMEOUT)
        if not sent.is_published():
            raise Silence(f"no acknowledgement of a QoS {qos} publish within {TIMEOUT:g} s")

    def subscribe(self, topic, qos=1):
        _, mid = self.client.subscribe(topic, qos)
        wait(self._event(mid), "SUBACK for paho-mqtt")

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()

    def lose(self):
        """Breaks the connection off without a word."""
        self.client.socket().shutdown(socket.SHUT_RDWR)
        wait(self.disconnected, "end of the connection")
        self.client.loop_stop()

    def _event(self, mid):
        with self._lock:
            return self._confirmed.setdefault(mid, threading.Event())

    def _on_connect(self, _client, _data, flags, reason, _properties):
        self.connect_reason, self.session_present = reason, flags.session_present
        self.connected.set()

    def _on_disconnect(self, _client, _data, _flags, reason, _properties):
        self.disconnect_reason = reason
        self.disconnected.set()

    def _on_message(self, _client, _data, message):
        content_type = getattr(message.properties, "ContentType", None)
        self.subscription.put(
            Message(message.payload, message.topic, message.retain, message.qos, content_type)
        )


class Paho(Client):
    """paho-mqtt."""

    def __init__(self, port: int, version: int, way: Way | None = None):
        self.way, self.version = way or Way("tcp", port), version
        self.name, self.protocol = "paho", LABEL[version]

    def publish(self, topic, payload, *, retain=False, content_type=None):
        properties = None
        if self.version == 5 and content_type:
            properties = Properties(PacketTypes.PUBLISH)
            properties.ContentType = content_type
        with self._connection() as connection:
            connection.publish(topic, payload, 1, retain, properties)

    def subscribe(self, topic):
        connection = self._connection()
        connection.subscribe(topic)
        return connection.subscription

    def _connection(self):
        return PahoConnection(self.way.port, self.version, way=self.way)


SCHEMES = {"tcp": "mqtt", "tls": "mqtts", "ws": "ws", "wss": "wss"}
"""What mqtt.js calls them."""


class MqttJs(Client):
    """mqtt.js."""

    def __init__(self, node, port: int, version: int, way: Way | None = None):
        self.node, self.way, self.version = node, way or Way("tcp", port), version
        self.name, self.protocol = "mqtt.js", LABEL[version]

    def publish(self, topic, payload, *, retain=False, content_type=None):
        client = self._connect()
        text = base64.b64encode(payload).decode()
        more = {"qos": 1, "retain": retain, "contentType": content_type}
        self.node.call("mqtt.publish", client=client, topic=topic, payload=text, **more)
        self.node.call("mqtt.close", client=client)

    def subscribe(self, topic):
        client = self._connect()
        subscription = Subscription(lambda: self.node.call("mqtt.close", client=client))
        self.node.listen(client, lambda event: _forward(event, subscription))
        granted = self.node.call("mqtt.subscribe", client=client, topic=topic, qos=1)
        if granted != [1]:
            raise AssertionError(f"granted {granted}, expected QoS 1")
        return subscription

    def _connect(self):
        client = unique("mqttjs-")
        way = self.way
        where = {"host": way.host, "port": way.port, "protocol": SCHEMES[way.transport]}
        ca = way.ca.read_text() if way.is_secured else None
        self.node.call("mqtt.connect", client=client, version=self.version, where=where, ca=ca)
        return client


def _forward(event, subscription):
    if event["event"] == "message":
        payload = base64.b64decode(event["payload"])
        more = (event["topic"], event["retain"], event["qos"], event.get("contentType"))
        subscription.put(Message(payload, *more))
