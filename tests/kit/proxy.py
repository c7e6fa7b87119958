"""A wire between a worker and one of its peers that breaks where it is told to.

What the worker sends is named (kit/wire.py), and so is every piece of the answer: `name#n` is the n-th piece that came
after the worker had sent `name`. A fault waits for one of these. Everything is on loopback or a unix socket."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import wire

Address = tuple[str, int] | str
PIECE = 1 << 16

# What happens to a piece of an answer.
FAULTS = ("cut", "truncate", "half-close", "delay", "dribble", "garbage")
# The moments around a request, as a worker that dies there sees them: the peer has not got it; the peer has done it
# and the worker does not know; the worker knows.
MOMENTS = ("before", "done", "after")
# The same for one that sleeps there; nothing else happens to the wire.
PAUSES = ("pause before", "pause done", "pause after")


@dataclass
class Plan:
    """One thing that happens once, at a point `name#n` of the armed peer."""

    point: str
    act: str
    action: Callable[[], None] | None = None  # for the moments: what to do there
    where: float = field(default_factory=random.random)  # a truncated piece ends there
    happened: threading.Event = field(default_factory=threading.Event)

    @property
    def moment(self) -> str:
        return self.act.removeprefix("pause ")

    @property
    def goes_on(self) -> bool:
        return self.act in PAUSES


class Proxy:
    def __init__(self, peer: str, target: Address, path: Path | None = None) -> None:
        """With a path it listens on a unix socket there."""
        self.peer, self.target, self.path = peer, target, path
        self.name_of = getattr(wire, peer)
        self.lock = threading.Lock()
        self.seen: list[str] = []  # the points, in their order
        self.counts: Counter[str] = Counter()
        self.asks: Counter[str] = Counter()
        self.plan: Plan | None = None
        self.black_hole = False
        self.refused: set[str] = set()  # whoever asks this loses the connection
        self.rate = 0.0  # bytes a second that a connection takes of what it is sent; 0: as many as come
        self.open: set[socket.socket] = set()
        self.port = 0
        self.listener: socket.socket | None = None

    def start(self) -> Proxy:
        if self.path:
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.listener.bind(str(self.path))
            self.listener.listen(128)
        else:
            self.listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
            self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self

    def stop(self) -> None:
        if self.listener:
            with contextlib.suppress(OSError):
                self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def arm(self, plan: Plan | None) -> None:
        """Counts anew, and breaks at the plan's point."""
        with self.lock:
            self.counts.clear()
            self.asks.clear()
            self.seen = []
            self.plan = plan

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connection, args=(client,), daemon=True).start()

    def _connection(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX if isinstance(self.target, str) else socket.AF_INET)
        try:
            server.connect(self.target)
        except OSError:
            _reset(client)
            client.close()
            return
        for end in (client, server):
            if end.family == socket.AF_INET:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.lock:
            self.open |= {client, server}
        link = Link(self, client, server)
        there = threading.Thread(target=link.requests, daemon=True)
        there.start()
        link.answers()
        there.join()
        with self.lock:
            self.open -= {client, server}
        client.close()
        server.close()

    def reached(self, name: str) -> Plan | None:
        """Counts a piece of an answer; the plan if it is meant."""
        with self.lock:
            self.counts[name] += 1
            point = f"{name}#{self.counts[name]}"
            self.seen.append(point)
            if self.plan and self.plan.moment != "before" and self.plan.point == point and not self.plan.happened.is_set():
                self.plan.happened.set()
                return self.plan
        return None

    def about_to_send(self, name: str) -> Plan | None:
        with self.lock:
            self.asks[name] += 1
            if (self.plan and self.plan.moment == "before" and not self.plan.happened.is_set()
                    and self.plan.point == f"{name}#{self.asks[name]}"):
                self.plan.happened.set()
                return self.plan
        return None


class Link:
    """One connection."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        self.asked = "hello"

    def requests(self) -> None:
        try:
            while data := self.client.recv(PIECE):
                while self.proxy.black_hole:
                    time.sleep(0.02)
                name = self.proxy.name_of(data)
                if name:
                    self.asked = name
                    plan = self.proxy.about_to_send(name)
                    if plan and plan.action:
                        plan.action()
                        if not plan.goes_on:
                            return self.reset()
                    if name in self.proxy.refused:
                        return self.reset()
                self.server.sendall(data)
                if self.proxy.rate:
                    time.sleep(len(data) / self.proxy.rate)
            self.server.shutdown(socket.SHUT_WR)
        except OSError:
            self.reset()

    def answers(self) -> None:
        try:
            while data := self.server.recv(PIECE):
                while self.proxy.black_hole:
                    time.sleep(0.02)
                plan = self.proxy.reached(self.asked)
                if plan is None:
                    self.client.sendall(data)
                elif not self.happens(plan, data):
                    return
            self.client.shutdown(socket.SHUT_WR)
        except OSError:
            self.reset()

    def happens(self, plan: Plan, data: bytes) -> bool:
        """Whether the connection goes on."""
        if plan.action:
            if plan.moment == "after":
                self.client.sendall(data)
            plan.action()
            if plan.goes_on and plan.moment == "done":
                self.client.sendall(data)
            elif plan.moment == "done":
                self.reset()
            return plan.goes_on or plan.moment == "after"
        if plan.act == "cut":
            self.reset()
            return False
        if plan.act == "truncate":
            self.client.sendall(data[:max(1, int(plan.where * len(data)))])
            self.reset(abruptly=False)
            return False
        if plan.act == "half-close":
            # The peer hears nothing of it: what the worker still sends arrives there.
            self.client.shutdown(socket.SHUT_WR)
            while self.server.recv(PIECE):
                pass
            return False
        if plan.act == "delay":
            time.sleep(1)
        elif plan.act == "dribble":
            for i in range(min(len(data), 400)):
                self.client.sendall(data[i:i + 1])
                time.sleep(0.001)
            data = data[400:]
        elif plan.act == "garbage":
            data = os.urandom(len(data))
        self.client.sendall(data)
        return True

    def reset(self, abruptly: bool = True) -> None:
        if abruptly:
            _reset(self.client)
        with contextlib.suppress(OSError):
            # Wakes the other thread; the end itself is sent when the connection is closed.
            self.client.shutdown(socket.SHUT_RD if abruptly else socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)


def _reset(connection: socket.socket) -> None:
    """Closing it will send RST, not FIN."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
