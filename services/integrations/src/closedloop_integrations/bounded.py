"""A transport whose calls end in time, whatever the other side drips, and that connects where it is told to.

httpx bounds each wait of a call, so that a server that sends a byte now and then holds its caller for hours; here all waits
of a call together have one end.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import httpcore
import httpx


class Bounded(httpx.HTTPTransport):
    """`begin` a call before it is made. Connections to a host and a port go where `lead` says, which may raise; the
    certificate is still asked for the name."""

    def __init__(self, seconds: float, lead: Callable[[str, int], str]) -> None:
        super().__init__(verify=_authorities(), trust_env=False)
        self._network = _Network(seconds, lead)
        self._pool = httpcore.ConnectionPool(ssl_context=_authorities(), network_backend=self._network)

    def begin(self) -> None:
        self._network.begin()


@cache
def _authorities() -> ssl.SSLContext:
    """Read once: a bundle of certificates takes longer to read than a call to make."""
    return httpx.create_ssl_context(trust_env=False)


class _Network(httpcore.NetworkBackend):
    def __init__(self, seconds: float, lead: Callable[[str, int], str]) -> None:
        self._system = httpcore.SyncBackend()
        self._seconds, self._lead = seconds, lead
        self.until = 0.0

    def begin(self) -> None:
        self.until = time.monotonic() + self._seconds

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        address = self._lead(host, port)
        left = self.left(timeout, httpcore.ConnectTimeout)
        stream = self._system.connect_tcp(address, port, left, local_address, socket_options)
        return _Stream(stream, self)

    def sleep(self, seconds: float) -> None:
        self._system.sleep(seconds)

    def left(self, timeout: float | None, spent: type[Exception]) -> float:
        """Raises `spent` when the call's time is over."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise spent(f"no whole answer within {self._seconds:.0f} s")
        return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, network: _Network) -> None:
        self._stream, self._network = stream, network

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._network.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._network.left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._network.left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._network)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
