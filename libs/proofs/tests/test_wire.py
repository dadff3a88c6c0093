"""The proxy in between: what passes is whole and in order; what is cut was answered and never heard of."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from closedloop_devstack import ports
from closedloop_proofs.chaos.ground import Wire

LINK = "echo"


class Echo:
    """Greets whoever comes, then answers every byte; counts what it was sent."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self._listening = socket.create_server((ports.LOOPBACK, 0))
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(ConnectionError):
            connection.sendall(b"hello")
            while data := connection.recv(65536):
                self.heard += data
                connection.sendall(data)

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def wire(echo: Echo) -> Iterator[Wire]:
    wire = Wire({LINK: (ports.free_port(), echo.port)})
    yield wire
    wire.close()


@pytest.fixture
def client(wire: Wire) -> Iterator[socket.socket]:
    with socket.create_connection((ports.LOOPBACK, wire.links[LINK][0]), timeout=10) as connection:
        assert read(connection, 5) == b"hello"
        yield connection


def read(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (data := connection.recv(size - len(found))):
        found += data
    return found


def test_what_is_slow_or_was_silent_comes_whole_and_in_order(wire: Wire, client: socket.socket) -> None:
    sent = bytes(range(256)) * 400
    wire.order(LINK, "slow", seconds=0.1)
    began = time.monotonic()
    client.sendall(sent)
    assert read(client, len(sent)) == sent
    assert time.monotonic() - began >= 0.2  # there and back
    wire.order(LINK, "silence")
    client.sendall(b"anybody?")
    client.settimeout(0.5)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.settimeout(10)
    wire.order(LINK, "calm")
    assert read(client, 8) == b"anybody?"


def test_a_connection_is_cut_when_the_work_is_done_and_nobody_has_heard(
    wire: Wire, client: socket.socket, echo: Echo
) -> None:
    assert wire.order(LINK, "cut", share=1.0) == 1
    client.sendall(b"pay")
    with pytest.raises(ConnectionResetError):
        client.recv(3)
    assert bytes(echo.heard) == b"pay"
    wire.order(LINK, "calm")
    assert wire.cuts[LINK] == 1
    with socket.create_connection((ports.LOOPBACK, wire.links[LINK][0]), timeout=10) as another:
        assert read(another, 5) == b"hello"


def test_nobody_behind_the_door_is_a_connection_reset() -> None:
    wire = Wire({LINK: (ports.free_port(), ports.free_port())})
    with (
        pytest.raises(ConnectionResetError),
        socket.create_connection((ports.LOOPBACK, wire.links[LINK][0]), timeout=10) as connection,
    ):
        connection.recv(1)
    wire.close()
