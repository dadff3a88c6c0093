"""Calls to servers that mean no good: what drips, what is too long, what asks us to wait for ever, what is a name for us."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpcore
import pytest

from closedloop_integrations import addresses, settings
from closedloop_integrations.outbound import Answer, LostError, NotSentError, Outbound, UnaskableError
from closedloop_integrations.settings import Outside, Reader

Serve = Callable[[Callable[[socket.socket], None]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(answer)`: the address of a server that reads a request and then does what `answer` does."""
    listening: list[socket.socket] = []

    def start(answer: Callable[[socket.socket], None]) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        listening.append(server)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        connection.recv(65_536)
                        answer(connection)

        threading.Thread(target=accept, daemon=True).start()
        return f"127.0.0.1:{server.getsockname()[1]}"

    yield start
    for server in listening:
        server.close()


def whole(connection: socket.socket, head: bytes = b"", body: bytes = b"ok") -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:127.0.0.1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "fec0::1",
        "64:ff9b:1::a00:1",
        "::10.0.0.1",
        "::93.184.216.34",
        "::ffff:0:10.0.0.1",
    ],
)
def test_a_name_that_leads_inwards_is_not_called_on_anybodys_word(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A subscriber's as little as the rulebook's, also where one address of several lies within: the name may answer otherwise
    the next time."""

    def resolve(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 443)) for each in ("93.184.216.34", address)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    subscriber = Outbound("https://hooks.example.cn/x", 10, 10_000, ours=False)
    rulebook = Outbound("https://search.example.cn", 10, 10_000, also=["https://hooks.example.cn"])
    for client in (subscriber, rulebook):
        with client, pytest.raises(UnaskableError, match="within our own network"):
            client.get("https://hooks.example.cn/x")


def test_a_name_that_leads_outwards_is_called_where_it_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it resolves to the next moment does not matter; and a name nobody knows is nobody's fault but its own."""
    called: list[str] = []

    def resolve(host: str, *_: object, **__: object) -> list[Any]:
        if host == "nobody.example.cn":
            raise socket.gaierror("not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 443))]

    def connect(_: object, host: str, *__: object) -> httpcore.NetworkStream:
        called.append(host)
        raise httpcore.ConnectError("far away")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    with Outbound("https://hooks.example.cn", 10, 10_000, ours=False) as client, pytest.raises(NotSentError):
        client.get("https://hooks.example.cn/x")
    with Outbound("http://erp.inner", 10, 10_000) as client, pytest.raises(NotSentError, match="far away"):
        client.get("http://erp.inner/x")
    assert called == ["93.184.216.34", "erp.inner"]
    nobody = Outbound("https://nobody.example.cn", 10, 10_000, ours=False)
    with nobody as client, pytest.raises(NotSentError, match="not known by name"):
        client.get("https://nobody.example.cn/x")


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"])
def test_a_server_that_drips_does_not_hold_us(serve: Serve, first: bytes) -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(first)
        for _ in range(200):
            time.sleep(0.1)
            connection.sendall(b"a")

    host = serve(drip)
    began = time.monotonic()
    with pytest.raises(LostError), Outbound(f"http://{host}", 0.5, 100_000) as client:
        client.get(f"http://{host}/")
    assert time.monotonic() - began < 10


def test_an_answer_is_unpacked_as_far_as_we_may_keep_it_and_no_further(serve: Serve) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    packed = {
        "good": (b"gzip", gzip.compress(b"ok" * 4_000)),
        "bomb": (b"gzip", bomb),
        "twice": (b"gzip, gzip", gzip.compress(bomb)),
        "broken": (b"gzip", b"not packed at all"),
    }
    hosts = {
        name: serve(lambda c, told=told: whole(c, b"Content-Encoding: " + told[0] + b"\r\n", told[1]))
        for name, told in packed.items()
    }

    def ask(name: str) -> bytes:
        with Outbound(f"http://{hosts[name]}", 10, 10_000) as client:
            return client.get(f"http://{hosts[name]}/").content

    assert ask("good") == b"ok" * 4_000
    tracemalloc.start()
    with pytest.raises(LostError, match="more than 10000 bytes"):
        ask("bomb")
    with pytest.raises(LostError, match="packed as"):
        ask("twice")
    with pytest.raises(LostError, match="cannot be unpacked"):
        ask("broken")
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_an_answer_that_is_too_long_and_one_that_leads_elsewhere(serve: Serve) -> None:
    host = serve(lambda connection: whole(connection, body=b"x" * 20_000))
    with pytest.raises(LostError, match="more than 10000 bytes"), Outbound(f"http://{host}", 10, 10_000) as client:
        client.get(f"http://{host}/")
    away = serve(
        lambda c: c.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
    )
    with Outbound(f"http://{away}", 10, 10_000) as client:
        assert client.get(f"http://{away}/").status == 302
        with pytest.raises(NotSentError, match="not the host"):
            client.get("http://127.0.0.1:1/")


def test_a_connection_goes_where_it_was_looked_at_and_the_name_stays(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "public", lambda host, port: "127.0.0.1")
    asked: list[bytes] = []

    def keep(connection: socket.socket) -> None:
        whole(connection)

    host = serve(keep)
    port = host.rpartition(":")[2]
    server = socket.create_server(("127.0.0.1", 0))
    named = f"http://hooks.invalid:{server.getsockname()[1]}/x"

    def once() -> None:
        connection, _ = server.accept()
        with connection:
            asked.append(connection.recv(65_536))
            whole(connection)

    thread = threading.Thread(target=once, daemon=True)
    thread.start()
    with Outbound(named, 10, 10_000, ours=False) as client:
        assert client.post(named, b"{}", {}).content == b"ok"
    thread.join(10)
    server.close()
    assert b"host: hooks.invalid:" in asked[0].lower()
    with pytest.raises(NotSentError), Outbound(f"http://hooks.invalid:{port}/", 10, 10_000) as client:
        client.get(f"http://hooks.invalid:{port}/")


@pytest.mark.parametrize("asked", ["9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT", "soon", "-1", "٣"])
def test_what_is_asked_of_our_patience_is_a_number_of_seconds(asked: str) -> None:
    assert 0 <= Answer(429, {"retry-after": asked}, b"").retry_after < 1e12


def test_a_secret_changed_in_its_folder_is_in_use_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "LOOK_SECONDS", 0.0)
    monkeypatch.setenv("CLOSEDLOOP_INTEGRATIONS_SECRETS", str(tmp_path))
    reader = Reader()
    first = reader()
    assert first.webhook_secret.get_secret_value() == ""
    assert reader() is first
    file = tmp_path / "closedloop_integrations_webhook_secret"
    file.write_text("whsec_one")
    second = reader()
    assert (second.webhook_secret.get_secret_value(), second.read_at > first.read_at) == ("whsec_one", True)
    file.write_text("whsec_other")
    assert reader().webhook_secret.get_secret_value() == "whsec_other"
    (tmp_path / "closedloop_integrations_wecom_robots").write_text("{half")
    assert reader().webhook_secret.get_secret_value() == "whsec_other", "what is half written changes nothing"
    assert isinstance(reader(), Outside)
