"""What a service brings along for its courier: pollers and webhooks.

A service's module `courier` (e.g. `closedloop_integrations.courier`) has an attribute `PARTS: tuple[Part, ...]`. Parts
learn something outside and put it into their own service's inbox with `desk.observe`; what to think of it is decided by
the api's reactions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from closedloop_chassis.courier.desk import Desk


@dataclass(frozen=True)
class Poller:
    """Runs `run(desk)` every `every`, counted from start to start, on one replica at a time and never twice at once.

    It must be repeatable: after a crash or a change of replica it runs again at once. A raise is logged, counted, and
    tried again when it is next due.
    """

    name: str
    every: timedelta
    run: Callable[[Desk], None]


@dataclass(frozen=True)
class Request:
    """An incoming webhook call. Header names are lower-case; of a repeated header or parameter the first counts."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    # Values of `<name>` in the path of the webhook.
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Response:
    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Webhook:
    """Answers HTTP calls on `path` ("/hooks/mail" or "/hooks/<provider>") of the courier's webhook address.

    The handler authenticates its caller itself (signature in a header, over `request.body`). A DomainError becomes the
    matching HTTP status with its reason; anything else becomes 500 with an id, its text only in the log.
    """

    path: str
    run: Callable[[Desk, Request], Response]
    methods: tuple[str, ...] = ("POST",)


Part = Poller | Webhook
