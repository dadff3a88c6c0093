"""Everything a courier hears over HTTP: forged, late, repeated, too long, too slow, and no HTTP at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import httpx

from closedloop_chassis.courier.signatures import sign
from closedloop_proofs.fuzz.ground import Finding, Ground

NAME = "webhooks"
PATH = "/hooks/mail"
MAIL = b"From: a@b.example\r\nTo: sales@example.com\r\nSubject: x\r\n\r\nhello"
LARGEST = 1024 * 1024
# The first is no secret at all, and what a platform without one answers.
OFF = 404


async def attack(ground: Ground, secret: str = "") -> list[Finding]:
    """`secret`: the one the platform was given; without it every signature is forged."""
    found: list[Finding] = []
    for service in ground.services:
        base = f"http://127.0.0.1:{ground.platform.layout.ports(service).webhooks}"
        async with httpx.AsyncClient(base_url=base, timeout=20.0, trust_env=False) as client:
            if service == "integrations":
                found += await _signed(ground, client, secret)
        found += await _raw(ground, service)
    return found


async def _signed(ground: Ground, client: httpx.AsyncClient, secret: str) -> list[Finding]:
    found = []
    for name, body, headers, expected in _posts(secret, int(time.time())):
        try:
            answer = await client.post(PATH, content=body, headers=headers)
        except httpx.HTTPError as error:
            # A server that has heard enough may hang up in the middle of a body.
            if "too long" not in name:
                found.append(Finding(NAME, PATH, f"{name}: {error!r}"))
            continue
        wanted = expected if secret else (*expected, OFF)
        if answer.status_code not in wanted or "Traceback" in answer.text:
            found.append(Finding(NAME, PATH, f"{name}: {answer.status_code} {answer.text[:200]}"))
    for method in ("GET", "PUT", "DELETE", "OPTIONS", "TRACE", "X"):
        answer = await client.request(method, PATH)
        if answer.status_code not in (404, 405, 501):
            found.append(Finding(NAME, PATH, f"{method}: {answer.status_code}"))
    return found


def _posts(secret: str, now: int) -> Iterator[tuple[str, bytes, dict[str, str], tuple[int, ...]]]:
    """(what is done, body, headers, statuses that are right)."""
    key = secret or "guessed"

    def headers(id: str = "m-1", stamp: object = now, signed: bytes = MAIL, with_key: str = key) -> dict[str, str]:
        return {
            "webhook-id": id, "webhook-timestamp": str(stamp),
            "webhook-signature": sign(with_key, id, str(stamp), signed),
        }  # fmt: skip

    no = (401,)
    if secret:
        fresh = f"fuzz-{now}"
        yield "rightly signed", MAIL, headers(fresh), (201,)
        yield "replayed", MAIL, headers(fresh), (200,)
        yield "rightly signed and empty", b"", headers("m-2", signed=b""), (400,)
        yield "rightly signed noise", b"\0\xff" * 900, headers("m-3", signed=b"\0\xff" * 900), (200, 201)
    yield "forged key", MAIL, headers(with_key="somebody else's"), no
    yield "empty key", MAIL, headers(with_key=""), no
    yield "another body", MAIL + b"!", headers(), no
    yield "another id", MAIL, headers() | {"webhook-id": "m-9"}, no
    yield "an hour late", MAIL, headers(stamp=now - 3600), no
    yield "an hour early", MAIL, headers(stamp=now + 3600), no
    yield "no headers", MAIL, {}, no
    yield "no signature", MAIL, headers() | {"webhook-signature": ""}, no
    yield "a thousand signatures", MAIL, headers() | {"webhook-signature": " ".join(["v1,AAAA"] * 1000)}, no
    yield "signature of another version", MAIL, headers() | {"webhook-signature": "v0," + "A" * 43}, no
    for stamp in ("", "-1", "1e9", "NaN", "9" * 5000, "0x10", "1 7"):
        yield f"stamp {stamp[:9]!r}", MAIL, headers() | {"webhook-timestamp": stamp}, no
    yield "a body too long", b"x" * (LARGEST + 1), headers(), (413,)
    yield "an id of 7,000 letters", MAIL, headers() | {"webhook-id": "m" * 7000}, no


RAW = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "half a line": b"POST /hoo",
    "no version": b"POST /hooks/mail\r\n\r\n",
    "a line without end": b"POST /" + b"a" * 100_000,
    "headers without end": b"POST /hooks/mail HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20_000,
    "a length that is none": b"POST /hooks/mail HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    "a length of words": b"POST /hooks/mail HTTP/1.1\r\nHost: x\r\nContent-Length: five\r\n\r\n",
    "two lengths": b"POST /hooks/mail HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a length that lies": b"POST /hooks/mail HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\nx",
    "length and chunks": b"POST /hooks/mail HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks that are none": b"POST /hooks/mail HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a huge chunk": b"POST /hooks/mail HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    "a path upwards": b"POST /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in the path": b"POST /hooks/mail\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "half a percent": b"POST /hooks/%zz%ff HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in a header": b"POST /hooks/mail HTTP/1.1\r\nHost: x\r\nwebhook-id: a\x00b\r\n\r\n",
    "expects to continue": b"POST /hooks/mail HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
}  # fmt: skip


async def _raw(ground: Ground, service: str) -> list[Finding]:
    """Bytes on each HTTP port of the service; it must still answer a proper call after each."""
    ports = ground.platform.layout.ports(service)
    doors = {"webhooks": ports.webhooks} if service == "integrations" else {}
    doors |= {"api metrics": ports.metrics("api"), "courier metrics": ports.metrics("courier")}
    found = []
    for door, port in doors.items():
        for name, content in RAW.items():
            said = await _send(port, content)
            if b"Traceback" in said or b" 500 " in said[:40]:
                found.append(Finding(NAME, f"{service} {door}", f"{name}: {said[:120]!r}"))
        path = "/healthz" if "metrics" in door else "/nothing"
        if not (said := await _send(port, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())):
            found.append(Finding(NAME, f"{service} {door}", f"answers nobody any more: {said!r}"))
    return found


async def _send(port: int, content: bytes) -> bytes:
    """What came back within a moment; whoever waits for the rest of a request is left waiting."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(content)
        async with asyncio.timeout(0.3 if not content.startswith(b"GET") else 20.0):
            return await reader.read(4096)
    except (TimeoutError, OSError):
        return b""
    finally:
        writer.close()
