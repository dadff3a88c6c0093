"""Answers incoming webhooks: a bounded body in, the handler's answer or a plain refusal out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from opentelemetry.trace import SpanKind
from werkzeug.wrappers import Request as Incoming
from werkzeug.wrappers import Response as Outgoing

from closedloop_chassis import errors, ids
from closedloop_chassis.courier.database import AWAY
from closedloop_chassis.courier.desk import Desk
from closedloop_chassis.courier.parts import Request, Webhook
from closedloop_chassis.telemetry import metrics, tracing

STATUSES: Mapping[str, HTTPStatus] = {
    "INVALID_ARGUMENT": HTTPStatus.BAD_REQUEST,
    "FAILED_PRECONDITION": HTTPStatus.CONFLICT,
    "UNAUTHENTICATED": HTTPStatus.UNAUTHORIZED,
    "PERMISSION_DENIED": HTTPStatus.FORBIDDEN,
    "NOT_FOUND": HTTPStatus.NOT_FOUND,
    "ALREADY_EXISTS": HTTPStatus.CONFLICT,
    "ABORTED": HTTPStatus.CONFLICT,
    "RESOURCE_EXHAUSTED": HTTPStatus.TOO_MANY_REQUESTS,
    "UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE,
}


class TooLong(Exception):
    """The body exceeds the limit."""


class BrokenOff(Exception):
    """The body ends before its end, or is none."""


def answer(webhook: Webhook, desk: Desk, incoming: Incoming, limit: int) -> Outgoing:
    """The HTTP response to `incoming`, whatever happens inside; bodies over `limit` bytes are refused with 413."""
    try:
        request = _request(incoming, limit)
        with tracing.work(f"webhook {webhook.path}", incoming.headers.get("traceparent", ""), SpanKind.SERVER):
            given = webhook.run(desk, request)
        response = Outgoing(
            given.body, status=given.status, headers=dict(given.headers), content_type=given.content_type
        )
    except BrokenOff as cause:
        desk.log.info("webhook body broke off", path=webhook.path, cause=str(cause))
        response = _refusal(HTTPStatus.BAD_REQUEST, reason="BODY_BROKEN")
        response.headers["Connection"] = "close"
    except TooLong:
        response = _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason="TOO_LONG")
        # What was not read of the body must not be taken for the next request.
        response.headers["Connection"] = "close"
    except errors.DomainError as error:
        status = STATUSES.get(error.code, HTTPStatus.INTERNAL_SERVER_ERROR)
        response = _refusal(status, reason=error.reason, message=error.message)
        if isinstance(error, (errors.Unavailable, errors.ResourceExhausted)):
            response.headers["Retry-After"] = str(max(round(error.retry_after), 1))
    except AWAY as cause:
        desk.log.warning("webhook refused, the database is away", path=webhook.path, cause=str(cause))
        response = _refusal(HTTPStatus.SERVICE_UNAVAILABLE, reason="UNAVAILABLE")
        response.headers["Retry-After"] = "5"
    except Exception:
        id = ids.new_id()
        desk.log.exception("webhook failed", path=webhook.path, error_id=id)
        response = _refusal(HTTPStatus.INTERNAL_SERVER_ERROR, reason="INTERNAL", id=id)
    metrics.WEBHOOKS.labels(webhook.path, str(response.status_code)).inc()
    return response


def _request(incoming: Incoming, limit: int) -> Request:
    if (incoming.content_length or 0) > limit:
        raise TooLong
    # A chunked body has no length, so it is read up to one byte over the limit.
    try:
        body: bytes = incoming.environ["wsgi.input"].read(limit + 1)
    except (OSError, ValueError) as error:  # chunks that are none, or a caller who left
        raise BrokenOff(f"{type(error).__name__}: {error}") from error
    if len(body) > limit:
        raise TooLong
    headers: dict[str, str] = {}
    for name, value in incoming.headers.items():
        headers.setdefault(name.lower(), value)
    values: Mapping[str, Any] = getattr(incoming, "path_values", None) or {}
    return Request(
        method=incoming.method,
        path=incoming.path,
        headers=headers,
        query=incoming.args.to_dict(),
        body=body,
        values={name: str(value) for name, value in values.items()},
    )


def _refusal(status: HTTPStatus, **facts: str) -> Outgoing:
    return Outgoing(json.dumps(facts, ensure_ascii=False), status=status.value, content_type="application/json")
