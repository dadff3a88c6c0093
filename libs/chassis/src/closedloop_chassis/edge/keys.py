"""The public keys callers' tokens are signed with: a JSON Web Key Set from a file or an https URL."""

from __future__ import annotations

import asyncio
import json
import os
import time
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.request import HTTPDefaultErrorHandler, HTTPErrorProcessor, HTTPSHandler, OpenerDirector, Request

import jwt

from closedloop_chassis.telemetry.logs import logger
from closedloop_chassis.telemetry.metrics import TOKEN_KEYS

log = logger(__name__)

# Asymmetric only: whoever can verify must not be able to sign.
ALGORITHMS = frozenset({"RS256", "ES256", "EdDSA"})
MAX_BYTES = 1024 * 1024

Keys = Mapping[str, jwt.PyJWK]


class KeySet(Protocol):
    """Keys by their id (`kid`): `keys` is replaced as a whole when the set has changed, None until it was read."""

    keys: Keys | None

    @abstractmethod
    def look(self) -> None:
        """Called with every token; picks up a change if looking is cheap."""

    @abstractmethod
    async def search(self) -> None:
        """Called when a key is missing; reads again, but not too often."""


def key_set(source: str) -> KeySet:
    """`source` is a path or an https URL."""
    if source.startswith("https://"):
        return UrlKeys(source)
    if "://" in source:
        raise ValueError(f"jwks must be a path or an https URL, not {source}")
    return FileKeys(source)


class FileKeys:
    def __init__(self, path: str, every: float = 1.0) -> None:
        self.keys: Keys | None = None
        self._path = path
        self._every = every
        self._next_look = 0.0
        self._seen: tuple[int, int, int] | None = None
        self.look()

    def look(self) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + self._every
        try:
            state = os.stat(self._path)
            seen = state.st_mtime_ns, state.st_size, state.st_ino
            if seen != self._seen:
                with open(self._path, "rb") as file:
                    self.keys = parsed(file.read(MAX_BYTES))
                self._seen = seen
        except (OSError, ValueError) as error:
            # The keys known so far stay good: a half-written file must not lock everybody out.
            log.error("cannot read the token keys", path=self._path, error=str(error))

    async def search(self) -> None:
        self.look()


class UrlKeys:
    def __init__(self, url: str, *, every: float = 10.0, refresh: float = 600.0, timeout: float = 3.0) -> None:
        self.keys: Keys | None = None
        self._url = url
        self._every = every
        self._refresh = refresh
        self._timeout = timeout
        self._next_search = 0.0
        self._next_refresh = 0.0
        self._reading: asyncio.Task[None] | None = None

    def look(self) -> None:
        if self.keys is not None and time.monotonic() > self._next_refresh:
            self._start()

    async def search(self) -> None:
        if self._reading is not None or time.monotonic() >= self._next_search:
            # Everybody who waits for keys waits for the same request.
            await asyncio.shield(self._start())

    def _start(self) -> asyncio.Task[None]:
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
        return self._reading

    async def _read(self) -> None:
        try:
            self.keys = parsed(await asyncio.to_thread(self._fetch))
        except (OSError, ValueError) as error:
            log.error("cannot read the token keys", url=self._url, error=str(error))
        finally:
            now = time.monotonic()
            self._next_search, self._next_refresh = now + self._every, now + self._refresh
            self._reading = None

    def _fetch(self) -> bytes:
        # No redirects: they could lead out of https.
        opener = OpenerDirector()
        for handler in (HTTPSHandler(), HTTPErrorProcessor(), HTTPDefaultErrorHandler()):
            opener.add_handler(handler)
        request = Request(self._url, headers={"Accept": "application/json"})
        with opener.open(request, timeout=self._timeout) as answer:
            body: bytes = answer.read(MAX_BYTES)
            return body


def parsed(document: bytes) -> dict[str, jwt.PyJWK]:
    """Raises ValueError for what is no key set; keys of other kinds than ours are passed over."""
    try:
        content: Any = json.loads(document)
    except RecursionError as error:
        raise ValueError("nested without end") from error
    if not isinstance(content, dict) or not isinstance(content.get("keys"), list):
        raise ValueError("not a JSON Web Key Set")
    keys: dict[str, jwt.PyJWK] = {}
    for entry in content["keys"]:
        try:
            key = jwt.PyJWK(entry)
        except (jwt.exceptions.PyJWTError, AttributeError, TypeError, ValueError) as error:
            log.warning("passed over a token key", error=type(error).__name__)
            continue
        if key.algorithm_name in ALGORITHMS and key.public_key_use in (None, "sig"):
            keys[key.key_id or ""] = key
    TOKEN_KEYS.set(len(keys))
    return keys
