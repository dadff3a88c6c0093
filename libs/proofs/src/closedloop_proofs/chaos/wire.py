"""A small TCP proxy, a process of its own: cuts connections in mid-call, falls silent, or takes its time.

    python -m closedloop_proofs.chaos.wire '{"api.funnel": [21000, 7420], ...}'

Names, where each listens, and whither it leads, all on loopback. Commands come in as lines of JSON on standard input:
`{"link": "postgres", "do": "cut", "share": 0.5}`. It ends with its input, hence with whoever started it.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import sys
from collections import deque
from collections.abc import Mapping
from typing import Any, cast

LOOPBACK = "127.0.0.1"
# With it a close says RST and forgets what was not sent.
ABRUPT = struct.pack("ii", 1, 0)


class Link:
    """All connections by one name, and how they are treated at the moment."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ends: set[End] = set()
        self.silent = False
        self.delay = 0.0
        self.cuts = 0

    def do(self, what: str, order: Mapping[str, Any]) -> None:
        if what == "cut":
            # Armed: each goes when its next answer comes by, that is after the work and before anybody hears of it.
            for end in list(self.ends):
                end.armed = end.answers and random.random() < float(order["share"])
        elif what == "silence":
            self.silent = True
        elif what == "slow":
            self.delay = float(order["seconds"])
        elif what == "calm":
            self.silent, self.delay = False, 0.0
            for end in list(self.ends):
                end.armed = False
                end.wind()


class End(asyncio.Protocol):
    """One side of a connection: what it hears it gives to its other side. `answers`: the side of the server."""

    def __init__(self, link: Link, answers: bool) -> None:
        self.link = link
        self.answers = answers
        self.armed = False
        self.other: End | None = None
        self.transport: asyncio.Transport | None = None
        self._late: deque[tuple[float, bytes]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.link.ends.add(self)

    def data_received(self, data: bytes) -> None:
        if self.armed:
            self.link.cuts += 1
            self.cut()
        elif self._late or self.link.delay or self.link.silent:
            # Behind what is late already, so that no byte overtakes another.
            due = asyncio.get_running_loop().time() + self.link.delay
            self._late.append((max(due, self._late[-1][0]) if self._late else due, data))
            self.wind()
        else:
            self._pass_on(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.link.ends.discard(self)
        if self._timer:
            self._timer.cancel()
        while self._late and not self.link.silent:
            self._pass_on(self._late.popleft()[1])
        if self.other and self.other.transport:
            self.other.transport.close()

    def pause_writing(self) -> None:
        if self.other:
            self.other.hold()

    def resume_writing(self) -> None:
        if self.other:
            self.other.go_on()

    def hold(self) -> None:
        if self.transport and not self.transport.is_closing():
            self.transport.pause_reading()

    def go_on(self) -> None:
        if self.transport and not self.transport.is_closing():
            self.transport.resume_reading()

    def cut(self) -> None:
        for end in (self, self.other):
            if end and end.transport and not end.transport.is_closing():
                end.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABRUPT)
                end.transport.abort()

    def _pass_on(self, data: bytes) -> None:
        if self.other and self.other.transport and not self.other.transport.is_closing():
            self.other.transport.write(data)

    def wind(self) -> None:
        """What is late goes on in its time, if anything goes at all."""
        if self._timer is None and self._late and not self.link.silent:
            self._timer = asyncio.get_running_loop().call_at(self._late[0][0], self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._late and self._late[0][0] <= now + 0.0005 and not self.link.silent:
            self._pass_on(self._late.popleft()[1])
        self.wind()


class Front(End):
    """The side of the client: reaches for the server when somebody comes."""

    def __init__(self, link: Link, port: int) -> None:
        super().__init__(link, answers=False)
        self._port = port
        self._early: list[bytes] = []
        self._reaching: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._reaching = asyncio.get_running_loop().create_task(self._reach())

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        else:
            super().data_received(data)

    async def _reach(self) -> None:
        back = End(self.link, answers=True)
        # Before it is there: a server may speak first.
        back.other = self
        try:
            await asyncio.get_running_loop().create_connection(lambda: back, LOOPBACK, self._port)
        except OSError:
            self.cut()
            return
        self.other = back
        for data in self._early:
            super().data_received(data)
        self._early.clear()
        if self.transport is None or self.transport.is_closing():
            back.cut()


async def serve(links: Mapping[str, tuple[int, int]]) -> None:
    loop = asyncio.get_running_loop()
    named = {name: Link(name) for name in links}

    def front(name: str, port: int) -> Front:
        return Front(named[name], port)

    for name, (listen, lead) in links.items():
        await loop.create_server(lambda name=name, lead=lead: front(name, lead), LOOPBACK, listen)  # type: ignore[misc]
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    _say({"ready": True})
    while line := await reader.readline():
        order = json.loads(line)
        link = named[order["link"]]
        link.do(order["do"], order)
        _say({"link": link.name, "connections": len(link.ends) // 2, "cuts": link.cuts})


def _say(document: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def main() -> None:
    import uvloop

    links = {name: (int(listen), int(lead)) for name, (listen, lead) in json.loads(sys.argv[1]).items()}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(links))


if __name__ == "__main__":
    main()
