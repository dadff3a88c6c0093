"""What leaves through a gateway and what comes back; the port that SMTP and the chat robots implement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, Self


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to hand over. `message_id` and `in_reply_to` concern mail alone, `robot` chat alone, `purpose` a short
    message's template."""

    delivery_id: str
    address: str
    robot: str
    recipient_name: str
    sender_name: str
    subject: str
    text: str
    message_id: str
    in_reply_to: str
    references: str
    purpose: str
    # Instead of the plain text alone; empty: none.
    html: str = ""
    # Where a mail program unsubscribes its reader; empty: such mail cannot be.
    unsubscribe: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """How it ended. `deferred`: it certainly was not taken. `unknown`: it may have been, no answer came."""

    outcome: Literal["accepted", "deferred", "refused", "unknown"]
    detail: str = ""
    gateway_id: str = ""
    retry_after: float = 0.0
    # The address does not exist.
    bounced: bool = False


class Gateway(Protocol):
    """Used in a `with`; one connection may serve many letters."""

    def send(self, letter: Letter) -> Receipt:
        """Never raises for what the other side says. Raises NotSentError while it cannot be reached at all."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
