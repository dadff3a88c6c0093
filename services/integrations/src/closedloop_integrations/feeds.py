"""What other systems post to our signed webhooks, in the Standard Webhooks manner. Runs in the courier.

The courier knows whose it is and that it is whole; what to think of each item is decided in the api, where an item that
nobody can read is set aside alone.
"""

from __future__ import annotations

import json
import time
from typing import ClassVar
from uuid import NAMESPACE_URL, uuid5

from pydantic import Field

from closedloop.integrations.v1 import events_pb2 as events
from closedloop_chassis import errors
from closedloop_chassis.courier import signatures
from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.courier.parts import Request, Response
from closedloop_chassis.rulebook.rules import Rules
from closedloop_integrations.polling import in_force
from closedloop_integrations.settings import outside

FEEDS = ("tickets", "behaviours", "conversations", "wecom_archive")


class FeedRules(Rules):
    """What may be posted at once."""

    rulebook: ClassVar[str] = "integrations.feeds"

    # What the system that posts is called where an item does not say it.
    ticket_source: str = Field(default="support", min_length=1, max_length=64)
    behaviour_source: str = Field(default="web", min_length=1, max_length=64)
    conversation_source: str = Field(default="phone_system", min_length=1, max_length=64)
    # A signed call of longer ago, or of a time to come, may be a recorded one.
    webhook_seconds: int = Field(default=300, ge=1, le=86_400)
    most_items: int = Field(default=1000, ge=1, le=10_000)
    # As many as a person can work off by hand.
    longest_item: int = Field(default=65_536, ge=1024, le=1_000_000)


def receive(desk: Desk, request: Request, *, feed: str) -> Response:
    """One item or an array of them: 201 for what is new, 200 for what was posted before under the same webhook-id.

    Raises NotFound WEBHOOK_NOT_CONFIGURED, Unauthenticated SIGNATURE_*, InvalidArgument FEED_UNREADABLE, FEED_TOO_LARGE."""
    secret = outside().webhook_secret.get_secret_value()
    if not secret:
        raise errors.NotFound("WEBHOOK_NOT_CONFIGURED", "no secret is set for this webhook")
    with desk.connection() as connection:
        rules = in_force(connection, FeedRules, desk.now())
    signatures.check(secret, request, time.time(), rules.webhook_seconds)
    name = request.headers["webhook-id"]
    fetched = events.FeedFetched(feed=feed, items=items(request.body, rules))
    fetched.fetch_time.FromDatetime(desk.now())
    new = desk.observe(fetched, feed, id=uuid5(NAMESPACE_URL, f"feed:{feed}:{name}"))
    return Response(201 if new else 200)


def items(body: bytes, rules: FeedRules) -> list[str]:
    """Each item as JSON text of its own."""
    try:
        posted = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise errors.InvalidArgument(
            "FEED_UNREADABLE", "the body is JSON: an object, or an array of objects"
        ) from error
    listed = posted if isinstance(posted, list) else [posted]
    if not listed or not all(isinstance(item, dict) for item in listed):
        raise errors.InvalidArgument("FEED_UNREADABLE", "the body is JSON: an object, or an array of objects")
    try:
        texts = [json.dumps(item, ensure_ascii=False) for item in listed]
        longest = max(len(text.encode()) for text in texts)
    except (ValueError, RecursionError) as error:
        raise errors.InvalidArgument("FEED_UNREADABLE", "half a character, or nested beyond reading") from error
    if len(texts) > rules.most_items or longest > rules.longest_item:
        raise errors.InvalidArgument(
            "FEED_TOO_LARGE", f"{rules.most_items} items of {rules.longest_item} bytes at most"
        )
    return texts
