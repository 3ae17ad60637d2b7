"""Guarantees, acknowledgements and versions."""

from .client import unique
from .mqtt import PahoConnection
from .mqtt_sn import MqttSnConnection
from .stomp import StompConnection

PAYLOAD = b"exactly this"


def checks(board, ports):
    mqtt = ports["mqtt"]
    board.section("guarantees and acknowledgements")
    for publisher in (4, 5):
        for subscriber in (4, 5):
            names = {4: "3.1.1", 5: "5"}
            title = f"QoS 2 from MQTT {names[publisher]} to MQTT {names[subscriber]}, once"
            board.check(title, exactly_once, mqtt, publisher, subscriber)
    for version in (4, 5):
        board.check(f"what came while an MQTT client was away ({version}) waits for it", waits, mqtt, version)
    board.check("the will of a lost MQTT client reaches its subscribers", will, mqtt)
    if "mqtt-sn" in ports:
        board.check("QoS 0, 1 and 2 of MQTT-SN reach MQTT", every_qos_of_mqtt_sn, ports)
        board.check("what came while an MQTT-SN client was away waits for it", waits_for_mqtt_sn, ports)
    if "stomp" in ports:
        board.check("STOMP client-individual: NACK brings the message again", nack, ports)
        board.check("STOMP client: one ACK covers all before it", cumulative, ports)
        board.check("STOMP transaction: what is committed is sent, what is aborted is not", transaction, ports)
        for version in ("1.0", "1.1", "1.2"):
            board.check(f"STOMP {version}: to and fro", stomp_version, ports, version)


def exactly_once(port, publisher, subscriber):
    topic = unique("interop/once/")
    with PahoConnection(port, subscriber) as receiving, PahoConnection(port, publisher) as sending:
        receiving.subscribe(topic, 2)
        sending.publish(topic, PAYLOAD, 2)
        sending.publish(topic, b"the end", 2)
        message = receiving.subscription.expect(PAYLOAD)
        receiving.subscription.expect(b"the end")
    if message.qos != 2:
        raise AssertionError(f"it came with QoS {message.qos}")


def waits(port, version):
    topic, client_id = unique("interop/away/"), unique("away-")
    with PahoConnection(port, version, client_id, clean=False) as first:
        first.subscribe(topic, 1)
    with PahoConnection(port, 5) as sending:
        for number in range(5):
            sending.publish(topic, b"%d" % number, 1)
    with PahoConnection(port, version, client_id, clean=False) as again:
        if not again.session_present:
            raise AssertionError("no session is present")
        for number in range(5):
            again.subscription.expect(b"%d" % number)


def will(port):
    topic = unique("interop/will/")
    with PahoConnection(port, 5) as watching:
        watching.subscribe(topic)
        lost = PahoConnection(port, 4, will=(topic, PAYLOAD))
        lost.lose()
        watching.subscription.expect(PAYLOAD)


def every_qos_of_mqtt_sn(ports):
    topic = unique("interop/sn/")
    with PahoConnection(ports["mqtt"], 5) as receiving, MqttSnConnection(ports["mqtt-sn"]) as sending:
        receiving.subscribe(topic, 2)
        for qos in (0, 1, 2):
            sending.publish(topic, b"with %d" % qos, qos)
            message = receiving.subscription.expect(b"with %d" % qos)
            if message.qos != qos:
                raise AssertionError(f"QoS {qos} came with QoS {message.qos}")


def waits_for_mqtt_sn(ports):
    topic, client_id = unique("interop/away/"), unique("sn-away-")
    with MqttSnConnection(ports["mqtt-sn"], client_id, clean=False) as first:
        first.subscribe(topic)
    with PahoConnection(ports["mqtt"], 5) as sending:
        sending.publish(topic, PAYLOAD, 1)
    with MqttSnConnection(ports["mqtt-sn"], client_id, clean=False) as again:
        again.add_listener(topic)
        again.read()
        again.subscription.expect(PAYLOAD)


def nack(ports):
    topic = unique("interop/nack/")
    with StompConnection(ports["stomp"]) as receiving, PahoConnection(ports["mqtt"], 5) as sending:
        receiving.subscribe(topic, "client-individual")
        sending.publish(topic, PAYLOAD, 1)
        receiving.subscription.expect(PAYLOAD)
        receiving.connection.nack(receiving.frames[PAYLOAD].headers["ack"])
        receiving.subscription.expect(PAYLOAD)
        receiving.connection.ack(receiving.frames[PAYLOAD].headers["ack"])
        sending.publish(topic, b"the next", 1)
        receiving.subscription.expect(b"the next")


def cumulative(ports):
    """More messages come than a window holds, each third is acknowledged."""
    topic = unique("interop/ack/")
    with StompConnection(ports["stomp"]) as receiving, PahoConnection(ports["mqtt"], 5) as sending:
        receiving.subscribe(topic, "client")
        for number in range(300):
            payload = b"%d" % number
            sending.publish(topic, payload, 1)
            receiving.subscription.expect(payload)
            if number % 3 == 2:
                receiving.connection.ack(receiving.frames[payload].headers["ack"])


def transaction(ports):
    topic = unique("interop/transaction/")
    with PahoConnection(ports["mqtt"], 5) as receiving, StompConnection(ports["stomp"]) as sending:
        receiving.subscribe(topic)
        for name, payload, end in (("a", b"aborted", "abort"), ("c", b"committed", "commit")):
            sending.connection.begin(name)
            sending.publish(topic, payload, {"transaction": name})
            getattr(sending.connection, end)(name)
        receiving.subscription.expect(b"committed")


def stomp_version(ports, version):
    topic = unique("interop/stomp/")
    with StompConnection(ports["stomp"], version) as stomp, PahoConnection(ports["mqtt"], 5) as paho:
        stomp.subscribe(f"{topic}/down")
        paho.subscribe(f"{topic}/up")
        paho.publish(f"{topic}/down", PAYLOAD)
        stomp.subscription.expect(PAYLOAD)
        stomp.publish(f"{topic}/up", PAYLOAD)
        paho.subscription.expect(PAYLOAD)
