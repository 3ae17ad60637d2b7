"""python -m interop: the server under test, driven by other people's clients."""

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from . import (
    acl, coap_blocks, coap_directory, coap_multicast, coap_pubsub, coap_stream, crossing, delivery, dtls, lifecycle, lwm2m,
    mosquitto, oscore, quic, scram, tls, transports,
)
from .board import Board
from .coap import Loop
from .node import Node
from .server import Broker, Watersmeet


def main() -> int:
    parser = argparse.ArgumentParser(prog="interop", description=__doc__)
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument("--server", help="path of our server; everything is checked")
    subject.add_argument("--mosquitto", help="path of mosquitto; the MQTT cells are checked")
    subject.add_argument("--subject", help="host:port of any MQTT broker on this machine; the MQTT cells are checked")
    parser.add_argument("--only", help="run only the tables and checks whose title matches this regular expression")
    parser.add_argument("--count", type=Path, help="file to write 'PASSED FAILED IMPOSSIBLE' to")
    arguments = parser.parse_args()

    board, node, loop = Board(arguments.only), Node(), Loop()
    try:
        if arguments.server:
            everything(board, str(Path(arguments.server).resolve()), node, loop)
        elif arguments.mosquitto:
            with Broker(arguments.mosquitto) as broker:
                tables(board, broker.ports, node, loop)
        else:
            tables(board, {"mqtt": int(arguments.subject.rsplit(":", 1)[1])}, node, loop)
    except Exception as error:
        board.failures.append(("the run", f"{type(error).__name__}: {error}"))
        print(f"\nFAIL the run: {error}")
    finally:
        node.close()
    if arguments.count:
        arguments.count.write_text(f"{board.passed} {len(board.failures)} {len(board.impossible)}\n")
    left_out = f", {len(board.impossible)} not possible here" if board.impossible else ""
    print(f"\ninterop: {board.passed} passed, {len(board.failures)} failed{left_out}")
    return 1 if board.failures else 0


def everything(board, binary, node, loop):
    with Watersmeet(binary) as server, ExitStack() as stack:
        ports = dict(server.ports)
        if "quic" in ports:
            tunnel = stack.enter_context(quic.Tunnel(loop, ports["quic"], server.ca))
            ports["quic tunnel"] = tunnel.port
            quic.checks(board, loop, ports["quic"], server.ca)
        tables(board, ports, node, loop)
        coap_pubsub.checks(board, loop, server.ports)
        coap_directory.checks(board, loop, server.ports)
        mosquitto.checks(board, binary, server.ports)
        lifecycle.checks(board, ports, crossing.clients(ports, node, loop))
    transports.table(board, binary, node)
    coap_stream.checks(board, binary, loop)
    coap_blocks.checks(board, binary, node, loop)
    coap_multicast.checks(board, binary)
    oscore.checks(board, binary, loop)
    tls.checks(board, binary)
    dtls.checks(board, binary)
    scram.checks(board, binary, node)
    acl.checks(board, binary)
    lifecycle.ending(board, binary)


def tables(board, ports, node, loop):
    everyone = crossing.clients(ports, node, loop)
    crossing.every_cell(board, everyone)
    crossing.payloads(board, everyone)
    crossing.wildcards(board, everyone)
    crossing.retained(board, everyone)
    crossing.content_types(board, everyone)
    if "coap" in ports:
        lwm2m.tables(board, everyone, ports, node, loop)
    delivery.checks(board, ports)


sys.exit(main())
