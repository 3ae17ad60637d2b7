"""STOMP: stomp.py and stompjs. A destination is a topic."""

import base64
import threading

import stomp

from .client import Client, Message, Subscription, unique, wait


class StompConnection(stomp.ConnectionListener):
    """One connection of stomp.py, with its callbacks turned into events to wait for."""

    def __init__(self, port: int, version: str = "1.2"):
        self.subscription = Subscription(self.close)
        self.frames = {}
        self.error = None
        self.disconnected = threading.Event()
        self._receipts = {}
        self._lock = threading.Lock()
        kind = {"1.0": stomp.Connection10, "1.1": stomp.Connection11, "1.2": stomp.Connection12}[version]
        more = {} if version == "1.0" else {"heartbeats": (0, 0)}
        self.connection = kind([("127.0.0.1", port)], auto_decode=False, **more)
        self.connection.set_listener("interop", self)
        self.connection.connect(wait=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def publish(self, topic, payload, headers=None):
        receipt = unique("receipt-")
        self.connection.send(topic, payload, headers={"receipt": receipt, **(headers or {})})
        self.confirmed(receipt)

    def subscribe(self, topic, ack="auto", identifier=None):
        receipt = unique("receipt-")
        identifier = identifier or unique("subscription-")
        self.connection.subscribe(topic, id=identifier, ack=ack, headers={"receipt": receipt})
        self.confirmed(receipt)

    def confirmed(self, receipt):
        wait(self._receipt(receipt), "RECEIPT for stomp.py")
        if self.error:
            raise RuntimeError(f"stomp.py: {self.error.headers} {self.error.body!r}")

    def close(self):
        if self.connection.is_connected():
            self.connection.disconnect(receipt=unique("receipt-"))

    def on_receipt(self, frame):
        self._receipt(frame.headers["receipt-id"]).set()

    def on_message(self, frame):
        body = frame.body if isinstance(frame.body, bytes) else frame.body.encode()
        self.frames[body] = frame
        self.subscription.put(
            Message(body, frame.headers["destination"], content_type=frame.headers.get("content-type"))
        )

    def on_error(self, frame):
        self.error = frame
        with self._lock:
            for receipt in self._receipts.values():
                receipt.set()

    def on_disconnected(self):
        self.disconnected.set()

    def _receipt(self, receipt):
        with self._lock:
            return self._receipts.setdefault(receipt, threading.Event())


class StompPy(Client):
    """stomp.py."""

    name, protocol = "stomp.py", "STOMP"

    def __init__(self, port: int):
        self.port = port

    def publish(self, topic, payload, *, retain=False, content_type=None):
        headers = {"content-type": content_type} if content_type else {}
        if retain:
            headers["retain"] = "true"
        with StompConnection(self.port) as connection:
            connection.publish(topic, payload, headers)

    def subscribe(self, topic):
        connection = StompConnection(self.port)
        connection.subscribe(topic)
        return connection.subscription


class StompJs(Client):
    """stompjs, over TCP by its tcp-wrapper."""

    name, protocol = "stompjs", "STOMP"

    def __init__(self, node, port: int):
        self.node, self.port = node, port

    def publish(self, topic, payload, *, retain=False, content_type=None):
        client = self._connect()
        text = base64.b64encode(payload).decode()
        more = {"retain": retain, "contentType": content_type}
        self.node.call("stomp.publish", client=client, topic=topic, payload=text, **more)
        self.node.call("stomp.close", client=client)

    def subscribe(self, topic):
        client = self._connect()
        subscription = Subscription(lambda: self.node.call("stomp.close", client=client))
        self.node.listen(client, lambda event: self._forward(event, subscription))
        self.node.call("stomp.subscribe", client=client, topic=topic)
        return subscription

    def _connect(self):
        client = unique("stompjs-")
        self.node.call("stomp.connect", client=client, port=self.port)
        return client

    @staticmethod
    def _forward(event, subscription):
        if event["event"] == "message":
            payload = base64.b64decode(event["payload"])
            subscription.put(Message(payload, event["topic"], content_type=event.get("contentType")))
