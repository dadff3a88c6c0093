"""An HTTP/2 client that behaves as none should: opens streams and says nothing, or asks and never reads."""

from __future__ import annotations

import asyncio
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, RemoteSettingsChanged, ResponseReceived, StreamReset, TrailersReceived
from h2.exceptions import H2Error
from h2.settings import SettingCodes


class SlowClient:
    """One connection. `window`: how many bytes of an answer it would read; 0 reads nothing, ever."""

    def __init__(self, address: str, window: int = 65535) -> None:
        host, _, port = address.rpartition(":")
        self._host, self._port, self._authority = host, int(port), address
        self._http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._window = window
        self._reading: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        # How streams that ended did: grpc-status, or the HTTP/2 error; "" while they are open.
        self.streams: dict[int, str] = {}
        self.gone = False

    async def __aenter__(self) -> Self:
        self._in, self._out = await asyncio.open_connection(self._host, self._port)
        self._http.initiate_connection()
        self._http.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: self._window})
        self._flush()
        self._reading = asyncio.create_task(self._read())
        await asyncio.wait_for(self._settled.wait(), 30)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reading is not None:
            self._reading.cancel()
        self._out.close()

    @property
    def allowed(self) -> int:
        """How many streams at once the server lets this connection have."""
        return int(self._http.remote_settings.max_concurrent_streams)

    def open(self, path: str, token: str = "", message: bytes | None = None) -> int:
        """A stream with its headers; without a `message` it stays at that. Raises H2Error where no more are allowed."""
        stream = self._http.get_next_available_stream_id()
        headers = [
            (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", self._authority),
            ("te", "trailers"), ("content-type", "application/grpc"),
        ]  # fmt: skip
        if token:
            headers.append(("authorization", f"Bearer {token}"))
        self._http.send_headers(stream, headers)
        self.streams[stream] = ""
        if message is not None:
            self._http.send_data(stream, b"\0" + len(message).to_bytes(4, "big") + message, end_stream=True)
        self._flush()
        return stream

    @property
    def open_streams(self) -> int:
        return sum(not ended for ended in self.streams.values())

    def _flush(self) -> None:
        if not self._out.is_closing():
            self._out.write(self._http.data_to_send())

    async def _read(self) -> None:
        try:
            while content := await self._in.read(65536):
                for event in self._http.receive_data(content):
                    if isinstance(event, RemoteSettingsChanged):
                        self._settled.set()
                    elif isinstance(event, ResponseReceived | TrailersReceived):
                        said = {str(name): str(value) for name, value in event.headers or ()}
                        if "grpc-status" in said:
                            self.streams[event.stream_id or 0] = f"status {said['grpc-status']}"
                    elif isinstance(event, StreamReset):
                        self.streams[event.stream_id or 0] = self.streams.get(event.stream_id or 0) or "reset"
                    elif isinstance(event, ConnectionTerminated):
                        self.gone = True
                self._flush()
        except (OSError, H2Error):
            pass
        self.gone = True


__all__ = ["H2Error", "SlowClient"]
