"""Calls to other people's servers: one host, bounded in size and in time, no redirects to anywhere else.

Hosts that operations have set (`settings.py`) are called wherever they are. Those that somebody else names, a subscriber or the
rulebook, are called at public addresses alone.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from closedloop_integrations import addresses
from closedloop_integrations.bounded import Bounded
from closedloop_integrations.settings import outside

LONGEST_WAIT_DIGITS = 9
# How an answer may be packed.
PACKED = "gzip"
PORTS = {"http": 80, "https": 443}


class OutsideError(Exception):
    """The other side is at fault, or away; its text is one line without secrets. Counts for the circuit breaker."""


class NotSentError(OutsideError):
    """Nothing has reached the other side."""


class UnaskableError(NotSentError):
    """An address nobody may or can call, however often it is tried: another host, or no address at all."""


class LostError(OutsideError):
    """It may have reached the other side; no answer came back."""


class TooLargeError(LostError):
    """More than we read; it will be so the next time, too."""


class SlowDownError(OutsideError):
    """The other side asks us to wait `seconds`; it is well, and so the circuit stays closed. `away`: not that we ask too
    much, it says, but that it cannot."""

    def __init__(self, seconds: float, *, away: bool = False) -> None:
        super().__init__(f"asked us to wait {seconds:.0f} s")
        self.seconds, self.away = seconds, away


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def retry_after(self) -> float:
        """Seconds asked for in Retry-After, as number or date; 0 where nothing is."""
        given = self.headers.get("retry-after", "").strip()
        if given.isascii() and given.isdigit():
            return float(given[:LONGEST_WAIT_DIGITS])
        try:
            return max(parsedate_to_datetime(given).timestamp() - time.time(), 0.0)
        except (TypeError, ValueError):
            return 0.0


class Outbound:
    """A client of the host of `base_url`, and of the hosts of `also`, alone. `seconds` bound a whole call,
    `max_bytes` its answer. `also` is always on somebody else's word, `base_url` where not `ours`."""

    def __init__(
        self, base_url: str, seconds: float, max_bytes: int, *, also: Iterable[str] = (), ours: bool = True
    ) -> None:
        self._origins = {_origin(url) for url in (base_url, *also)}
        self._trusted = {_endpoint(base_url)} if ours else set()
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._transport = Bounded(seconds, self._lead)
        self._client = httpx.Client(
            timeout=seconds,
            follow_redirects=False,
            trust_env=False,
            transport=self._transport,
            headers={"accept-encoding": PACKED},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def get(
        self, url: str, headers: Mapping[str, str] | None = None, params: Mapping[str, Any] | None = None
    ) -> Answer:
        return self._call("GET", url, headers=headers, params=params)

    def post_json(self, url: str, body: object) -> Answer:
        return self._call("POST", url, json=body)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        return self._call("POST", url, content=body, headers=headers)

    def _lead(self, host: str, port: int) -> str:
        """Where to connect to. Raises UnaskableError for what lies within, NotSentError for what nobody knows."""
        if (host, port) in self._trusted or outside().is_inner(host, port):
            return host
        try:
            return addresses.public(host, port)
        except addresses.InwardError as error:
            raise UnaskableError(f"HOST_NOT_ALLOWED: {error}") from error
        except addresses.UnknownError as error:
            raise NotSentError(str(error)) from error

    def _call(self, method: str, url: str, **options: Any) -> Answer:
        if (origin := _origin(url)) not in self._origins:
            raise UnaskableError(f"{origin[1] or 'what has no name'} is not the host we may call")
        until = time.monotonic() + self._seconds
        self._transport.begin()
        try:
            with self._client.stream(method, url, **options) as response:
                content = bytearray()
                unpack = _unpacking(response.headers.get("content-encoding", ""))
                for chunk in response.iter_raw():
                    # No more of it than we may keep, however small it was packed.
                    content += unpack(chunk, self._max_bytes + 1 - len(content))
                    if len(content) > self._max_bytes:
                        raise TooLargeError(f"an answer of more than {self._max_bytes} bytes")
                    if time.monotonic() > until:
                        raise LostError(f"no whole answer within {self._seconds:.0f} s")
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status_code, headers, bytes(content))
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError) as error:
            raise UnaskableError(in_one_line(error)) from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NotSentError(in_one_line(error)) from error
        except httpx.HTTPError as error:
            raise LostError(in_one_line(error)) from error


def _unpacking(encoding: str) -> Callable[[bytes, int], bytes]:
    """What makes of a chunk, as it came, so many bytes at most of what it says. Raises LostError for what we did not ask
    for: packed twice, a few bytes say gigabytes."""
    packed = encoding.strip().lower()
    if packed in ("", "identity"):
        return lambda chunk, _: chunk
    if packed != PACKED:
        raise LostError(f"an answer packed as {encoding[:50]!r}")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def unpack(chunk: bytes, most: int) -> bytes:
        try:
            return unpacker.decompress(chunk, most)
        except zlib.error as error:
            raise LostError(f"an answer that cannot be unpacked: {error}") from error

    return unpack


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port
    except ValueError:  # a port of six digits, half a bracket
        return "", "", None


def _endpoint(url: str) -> tuple[str, int]:
    """As a connection is asked for. An address that is none leads nowhere."""
    try:
        parsed = httpx.URL(url)
        return parsed.raw_host.decode("ascii"), parsed.port or PORTS.get(parsed.scheme, 0)
    except httpx.InvalidURL:
        return "", 0


def in_one_line(error: Exception) -> str:
    """For people. The URL, which may carry a key, is not in httpx's messages; the class says most."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]
