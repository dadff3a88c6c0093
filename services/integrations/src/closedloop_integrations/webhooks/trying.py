"""Subscriptions that are tried on a caller's word, from the api: few at once, and in threads of their own.

The other side may let each of them wait as long as the rulebook bears; what else the api does in threads (files that are read)
must not wait with them.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from closedloop_chassis import errors
from closedloop_integrations.webhooks.posting import Outcome, post
from closedloop_integrations.webhooks.rules import MOST_TESTS, WebhookRules

_under_way: set[str] = set()


async def attempt(
    subscription_id: str, url: str, event_id: str, body: str, secrets: tuple[str, ...], rules: WebhookRules
) -> Outcome:
    """Raises ResourceExhausted TESTS_BUSY where this process tries as many as the rulebook lets it, or this one already."""
    if subscription_id in _under_way or len(_under_way) >= rules.tests_at_once:
        raise errors.ResourceExhausted(
            "TESTS_BUSY", f"{len(_under_way)} subscriptions are being tried", retry_after=rules.timeout_seconds
        )
    _under_way.add(subscription_id)
    # Whoever asked may be gone before the answer is there: the thread is not, and counts until then.
    calling = asyncio.get_running_loop().run_in_executor(_threads(), post, url, event_id, body, secrets, rules)
    calling.add_done_callback(lambda _: _under_way.discard(subscription_id))
    return await asyncio.shield(calling)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(MOST_TESTS, "webhook-test")
