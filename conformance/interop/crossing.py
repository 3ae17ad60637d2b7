"""The tables: every protocol to every protocol."""

import json
import time

import aiocoap

from . import quic
from .client import shorten, unique
from .coap import AioCoap, LibCoap
from .mqtt import Mosquitto, MqttJs, Paho
from .mqtt_sn import MqttSn12
from .stomp import StompJs, StompPy


def clients(ports, node, loop):
    """Every client there is for the protocols the server offers."""
    found = []
    if "mqtt" in ports:
        for version in (4, 5):
            found += [Mosquitto(ports["mqtt"], version), Paho(ports["mqtt"], version)]
            found += [MqttJs(node, ports["mqtt"], version)]
    if "quic tunnel" in ports:
        found += quic.clients(ports["quic tunnel"])
    if "mqtt-sn" in ports:
        found += [MqttSn12(ports["mqtt-sn"])]
    if "coap" in ports:
        found += [AioCoap(loop, ports["coap"]), LibCoap(ports["coap"])]
    if "stomp" in ports:
        found += [StompPy(ports["stomp"]), StompJs(node, ports["stomp"])]
    return found


def one_each(everyone):
    """The first client of each protocol."""
    return list({client.protocol: client for client in reversed(everyone)}.values())[::-1]


def every_cell(board, everyone):
    """Each client publishes to each client."""
    rows = [(f"{client.protocol} {client.name}", client) for client in everyone]
    columns = [(f"{client.protocol}|{client.name}", client) for client in everyone]
    board.table("publish -> subscribe", rows, columns, crosses, "publisher \\ subscriber")


def crosses(publisher, subscriber):
    topic = unique("interop/cross/")
    payload = f"{publisher.protocol} to {subscriber.protocol}: {topic}".encode()
    with subscriber.subscribe(topic) as subscription:
        began = time.perf_counter()
        publisher.publish(topic, payload)
        subscription.expect(payload)
        seconds = time.perf_counter() - began
    subscription.expect_none()
    return seconds


def payloads(board, everyone):
    """Every byte value, and a thousand bytes, between all protocols."""
    everyone = one_each(everyone)
    rows = [(f"{client.protocol} {client.name}", client) for client in everyone]
    columns = [(f"{client.protocol}|{client.name}", client) for client in everyone]
    board.table("binary and long payloads", rows, columns, _payload_crosses, "publisher \\ subscriber")


def _payload_crosses(publisher, subscriber):
    topic = unique("interop/payload/")
    with subscriber.subscribe(topic) as subscription:
        for payload in (bytes(range(256)), b"0123456789" * 100):
            publisher.publish(topic, payload)
            subscription.expect(payload)
    subscription.expect_none()


def wildcards(board, everyone):
    """One subscription takes what several topics carry."""
    rows = [(f"{client.protocol} {client.name}", client) for client in one_each(everyone)]
    columns = [(f"{client.protocol}|{client.name}", client) for client in everyone]
    board.table("wildcard subscriptions", rows, columns, _matches, "publisher \\ subscriber")


def _matches(publisher, subscriber):
    root = unique("interop/wildcard/")
    with subscriber.subscribe(f"{root}/+/temperature") as subscription:
        publisher.publish(f"{root}/kitchen/humidity", b"of another topic")
        for room in ("kitchen", "hall"):
            topic = f"{root}/{room}/temperature"
            publisher.publish(topic, room.encode())
            message = subscription.expect(room.encode())
            if message.topic not in (None, topic):
                raise AssertionError(f"the topic is {message.topic}, not {topic}")
    subscription.expect_none()


def retained(board, everyone):
    """Each protocol retains, and whoever comes later is given the last value."""
    rows = [(f"{client.protocol} {client.name}", client) for client in one_each(everyone)]
    columns = [(f"{client.protocol}|{client.name}", client.subscribe) for client in everyone]
    for client in everyone:
        if isinstance(client, AioCoap):
            columns.append(("CoAP GET|aiocoap", lambda topic, client=client: _Got(_get(client, topic))))
        if isinstance(client, LibCoap):
            columns.append(("CoAP GET|coap-client", lambda topic, client=client: _Got(client.get(topic))))
    board.table("retained", rows, columns, _is_retained, "publisher \\ later subscriber")


def _is_retained(publisher, subscribe):
    topic = unique("interop/retained/")
    payload = f"the last word of {publisher.protocol} on {topic}".encode()
    publisher.publish(topic, b"an earlier word", retain=True)
    publisher.publish(topic, payload, retain=True)
    began = time.perf_counter()
    with subscribe(topic) as subscription:
        subscription.expect(payload)
        return time.perf_counter() - began


class _Got:
    """The payload of a GET in the shape of a subscription."""

    def __init__(self, payload):
        self.payload = payload

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def expect(self, payload):
        if self.payload != payload:
            raise AssertionError(f"expected {shorten(payload)}, got {shorten(self.payload)}")


def _get(client, topic) -> bytes:
    response = client.request(aiocoap.GET, topic)
    if not response.code.is_successful():
        raise AssertionError(f"GET was answered {response.code} {response.payload!r}")
    return response.payload


def content_types(board, everyone):
    """The media type crosses wherever both protocols can say it."""
    can_say = [client for client in everyone if client.protocol in ("MQTT 5", "CoAP", "STOMP")]
    publishers = [client for client in can_say if client.name != "coap-client"]
    subscribers = [client for client in publishers if client.name != "mosquitto"]
    rows = [(f"{client.protocol} {client.name}", client) for client in publishers]
    columns = [(f"{client.protocol}|{client.name}", client) for client in subscribers]
    board.table("content type", rows, columns, _type_crosses, "publisher \\ subscriber")


def _type_crosses(publisher, subscriber):
    topic = unique("interop/type/")
    payload = json.dumps({"topic": topic}).encode()
    with subscriber.subscribe(topic) as subscription:
        began = time.perf_counter()
        publisher.publish(topic, payload, content_type="application/json")
        message = subscription.expect(payload)
        seconds = time.perf_counter() - began
    if message.content_type != "application/json":
        raise AssertionError(f"the content type is {message.content_type!r}")
    return seconds
