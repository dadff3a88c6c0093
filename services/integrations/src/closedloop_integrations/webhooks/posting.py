"""One signed call to a subscriber, in the Standard Webhooks manner."""

from __future__ import annotations

import time
from dataclasses import dataclass

from closedloop_chassis import errors
from closedloop_chassis.courier import signatures
from closedloop_integrations.outbound import Answer, NotSentError, Outbound, OutsideError
from closedloop_integrations.settings import outside
from closedloop_integrations.webhooks import guard
from closedloop_integrations.webhooks.rules import WebhookRules

CONTENT = "application/cloudevents+json; charset=utf-8"
SHOWN = 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """`status` 0 where there was no answer; `answer` is its beginning, or why there was none."""

    status: int
    answer: str
    latency_ms: int
    retry_after: float = 0.0


def post(url: str, event_id: str, body: str, secrets: tuple[str, ...], rules: WebhookRules) -> Outcome:
    """Raises nothing: whatever happens is an outcome."""
    begun = time.monotonic()
    try:
        try:
            # What was allowed when it was set may be so no longer.
            guard.check(url, outside())
        except errors.InvalidArgument as error:
            raise NotSentError(f"{error.reason}: {error.message}") from error
        stamp, content = str(int(time.time())), body.encode()
        headers = {
            "content-type": CONTENT,
            "accept-encoding": "identity",
            "user-agent": "Closedloop-Webhooks/1",
            "webhook-id": event_id,
            "webhook-timestamp": stamp,
            "webhook-signature": " ".join(signatures.sign(s, event_id, stamp, content) for s in secrets if s),
        }
        with Outbound(url, rules.timeout_seconds, rules.most_answer_bytes, ours=False) as client:
            answer = client.post(url, content, headers)
    except OutsideError as error:
        return Outcome(0, str(error)[:SHOWN], _milliseconds(begun))
    return Outcome(answer.status, _shown(answer), _milliseconds(begun), answer.retry_after)


def _shown(answer: Answer) -> str:
    return answer.content[:SHOWN].decode("utf-8", "replace").replace("\0", "\ufffd")


def _milliseconds(begun: float) -> int:
    return int((time.monotonic() - begun) * 1000)
