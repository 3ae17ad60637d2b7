"""CoAP's multicast groups, on a link of their own: two network namespaces, and a pair of interfaces between them."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from .client import TIMEOUT, Impossible, Silence
from .server import Watersmeet

GROUPS = ("224.0.1.187", "[ff02::fd%here]", "[ff05::fd]")

ANSWER = b'</directory>;rt="core.rd";ct=40'
"""What is answered to whoever looks for the resource directory."""

CONFIGURATION = """
[access]
anonymous = "everywhere"
[listeners.grouped]
protocol = "coap"
bind = ["0.0.0.0:5683", "[::]:5683"]
groups = ["224.0.1.187", "ff02::fd", "ff05::fd"]
"""

PATIENCE = 3 * TIMEOUT
"""An interface is noticed within 10 s, an answer comes within 5 s."""


def checks(board, binary):
    title, late = "CoAP: the server is found by multicast", "CoAP: an interface that comes later is heard too"
    if not (board.wants(title) or board.wants(late)):
        return
    with Link() as link:
        if not link.lacks:
            link.server = Watersmeet(binary, more=CONFIGURATION, within=link.there)
        clients = [("coap-client", coap_client), ("aiocoap", aiocoap)]
        groups = [(group, group) for group in GROUPS]
        board.table(title, clients, groups, lambda ask, group: finds(link, ask, group), "client \\ group")
        board.section("an interface that comes later")
        board.check(late, comes_later, link)


class Link:
    """Two network namespaces and what runs in them; in a user namespace of their own if we are not root."""

    def __init__(self):
        self.spaces, self.server, self.lacks = [], None, None
        try:
            self._make()
        except Impossible as impossible:
            self.lacks = str(impossible)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.server:
            self.server.__exit__()
        for space in self.spaces:
            space.kill()
            space.wait()

    def _make(self):
        for program in ("unshare", "nsenter", "ip"):
            if not shutil.which(program):
                raise Impossible(f"there is no {program}")
        user = [] if os.geteuid() == 0 else ["--map-root-user"]
        self._space(["unshare", *user, "--net"])
        self.there = self._within(0)
        self._space([*self.there, "unshare", "--net"])
        self.here = self._within(1)
        self._run(self.there, "ip", "link", "set", "lo", "up")
        self.connect("here", "10.77.0")
        self._run(self.here, "ip", "route", "add", "224.0.0.0/4", "dev", "here")

    def _space(self, command):
        """A process that keeps a namespace as long as we live."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        space = subprocess.Popen([*command, "sh", "-c", "echo; exec cat"], **pipes)
        self.spaces.append(space)
        if not space.stdout.readline():
            raise Impossible(space.stderr.read().decode().strip())

    def _within(self, index):
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", *user, "--target", str(self.spaces[index].pid), "--net"]

    def connect(self, name, network):
        """A pair of interfaces: one of this name on our side, and one on the server's."""
        peer = ["type", "veth", "peer", "name", name, "netns", str(self.spaces[1].pid)]
        self._run(self.there, "ip", "link", "add", f"to-{name}", *peer)
        for within, interface, number in ((self.there, f"to-{name}", 1), (self.here, name, 2)):
            self._run(within, "ip", "address", "add", f"{network}.{number}/24", "dev", interface)
            self._run(within, "ip", "link", "set", interface, "up")

    @staticmethod
    def _run(within, *command):
        done = subprocess.run([*within, *command], capture_output=True, text=True, timeout=TIMEOUT)
        if done.returncode != 0:
            raise Impossible(f"{' '.join(command)}: {done.stderr.strip()}")


def finds(link, ask, group):
    """Asks until there is an answer, since a link takes its time to come up."""
    if link.lacks:
        raise Impossible(link.lacks)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        command = [*link.here, *ask(f"coap://{group}/.well-known/core?rt=core.rd")]
        try:
            done = subprocess.run(command, capture_output=True, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            continue
        if ANSWER in done.stdout:
            return
        time.sleep(0.2)
    raise Silence(f"no answer within {PATIENCE:g} s, but {done.stdout + done.stderr}")


def comes_later(link):
    if not link.lacks:
        link.connect("late", "10.78.0")
    finds(link, aiocoap, "[ff02::fd%late]")


def coap_client(place):
    program = shutil.which("coap-client") or shutil.which("coap-client-notls")
    return [program, "-N", "-B", "7", place]


def aiocoap(place):
    return [sys.executable, str(Path(sys.executable).with_name("aiocoap-client")), "--non", place]
