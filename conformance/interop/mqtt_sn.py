"""MQTT-SN 1.2: the client of mqtt-sn-12."""

import concurrent.futures
import select
import socket
import threading

from mqttsn12.client.MqttSnClient import MqttSnClient, MqttSnListener
from mqttsn12.MqttSnConstants import MqttSnConstants
from mqttsn12.packets import PublishPacket

from .client import TIMEOUT, Client, Message, Silence, Subscription, unique


class MqttSnConnection:
    """One connection. The library waits for answers without end, so every call has a thread of its own."""

    def __init__(self, port: int, client_id: str | None = None, clean: bool = True):
        self.client = MqttSnClient()
        self.client.set_client_id(client_id or unique("mqttsn-"))
        self.client.set_clean_session(clean)
        self.client.set_keep_alive(60)
        self.client.set_timeout(int(TIMEOUT))
        self.client.open("127.0.0.1", port)
        self.subscription = Subscription(self.close)
        self._closing = threading.Event()
        self._reader = None
        self._bounded("CONNACK", self.client.send_connect)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def publish(self, topic, payload, qos=1, retain=False):
        self._bounded("acknowledgement", self.client.send_publish, topic, payload, qos, retain)

    def subscribe(self, topic, qos=1):
        self._bounded("SUBACK", self.client.send_subscribe, topic, qos, _Listener(self.subscription))
        self.read()

    def add_listener(self, topic):
        """Listens to a topic that an earlier connection subscribed to."""
        self.client.add_mqtt_sn_callback(topic, _Listener(self.subscription))

    def read(self):
        """Begins to take what the server sends by itself."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self):
        self._closing.set()
        if self._reader:
            self._reader.join(TIMEOUT)
        try:
            self._bounded("DISCONNECT", self.client.send_disconnect)
        finally:
            self.client.close()

    def _read(self):
        while not self._closing.is_set():
            readable, _, _ = select.select([self.client.datagram_socket], [], [], 0.05)
            try:
                if readable:
                    datagram = self.client.datagram_socket.recv(65_536, socket.MSG_PEEK)
                    self.client.polling()
                    self._acknowledge(datagram)
            except Exception as error:  # whatever the library makes of the server's bytes is the finding
                self.subscription.put(error)

    def _acknowledge(self, datagram):
        """Sends the PUBACK that the library forgets: it compares the QoS level with the flag."""
        type_at = 3 if datagram[0] == 1 else 1
        if datagram[type_at] == MqttSnConstants.TYPE_PUBLISH:
            publish = PublishPacket()
            publish.decode(datagram)
            if publish.get_qos() == 1:
                self.client.send_puback(publish, MqttSnConstants.ACCEPTED)

    @staticmethod
    def _bounded(what, call, *arguments):
        done = concurrent.futures.Future()

        def run():
            try:
                done.set_result(call(*arguments))
            except Exception as error:
                done.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        try:
            return done.result(TIMEOUT)
        except concurrent.futures.TimeoutError:
            raise Silence(f"no {what} for mqtt-sn-12 within {TIMEOUT:g} s") from None


class _Listener(MqttSnListener):
    def __init__(self, subscription):
        self.subscription = subscription

    def message_arrived(self, msg):
        self.subscription.put(
            Message(bytes(msg.payload), msg.topic_name, bool(msg.retain), msg.qos)
        )


class MqttSn12(Client):
    """mqtt-sn-12."""

    name, protocol = "mqtt-sn-12", "MQTT-SN"

    def __init__(self, port: int):
        self.port = port

    def publish(self, topic, payload, *, retain=False, content_type=None):
        with MqttSnConnection(self.port) as connection:
            connection.publish(topic, payload, 1, retain)

    def subscribe(self, topic):
        connection = MqttSnConnection(self.port)
        connection.subscribe(topic)
        return connection.subscription
