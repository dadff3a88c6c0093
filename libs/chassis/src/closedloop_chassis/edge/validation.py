"""Parses the request and holds it against the rules its contract declares."""

from __future__ import annotations

from typing import Any

import protovalidate
from google.protobuf.message import DecodeError
from protovalidate import Validator

from closedloop_chassis import errors, nul, wellknown
from closedloop_chassis.contract import Method
from closedloop_chassis.edge.exchange import Edge, Exchange, Handler

__all__ = ["Validator", "link"]


def link(method: Method, edge: Edge, following: Handler) -> Handler:
    validator, parse = edge.validator, method.request.FromString
    # Compiles the rules now: a broken one stops the start, not a call.
    validator.collect_violations(method.request())
    is_sound = wellknown.check(method.request.DESCRIPTOR)

    async def validation(exchange: Exchange) -> bytes:
        payload = exchange.payload
        try:
            request = parse(payload)
        except DecodeError as error:
            raise errors.InvalidArgument(
                "MALFORMED_REQUEST", f"these bytes are no {method.request.__name__}"
            ) from error
        # PostgreSQL keeps no NUL; only a payload that has one somewhere is searched.
        if b"\0" in payload and (found := dict.fromkeys(nul.fields(request), nul.SAYS)):
            raise errors.InvalidArgument("VALIDATION_FAILED", "the request contains NUL characters", found)
        try:
            violations = validator.collect_violations(request)
        except protovalidate.EvaluationError as error:
            raise errors.InvalidArgument("VALIDATION_FAILED", f"the request cannot be judged: {error}") from error
        if violations:
            raise _refused(violations)
        if is_sound is not None and not is_sound(request):
            found = wellknown.faults(request)
            path, words = next(iter(found.items()))
            raise errors.InvalidArgument("VALIDATION_FAILED", f"{path} {words}", found)
        exchange.request = request
        return await following(exchange)

    return validation


def _refused(violations: list[protovalidate.Violation]) -> errors.InvalidArgument:
    found: dict[str, str] = {}
    for violation in violations:
        proto: Any = violation.proto
        path = _path(proto.field.elements if proto.field else ())
        words = proto.message or f"breaks {proto.rule_id}"
        found[path] = f"{found[path]}; {words}" if path in found else words
    first = next(iter(found.items()))
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    where = f"{first[0]}: " if first[0] else ""
    return errors.InvalidArgument("VALIDATION_FAILED", f"{where}{first[1]}{more}", found)


def _path(elements: Any) -> str:
    """Like `lines[2].amount` or `labels["a"]`."""
    path = ""
    for element in elements:
        path += f".{element.field_name}" if path else element.field_name
        if element.subscript is not None:
            value = element.subscript.value
            path += f'["{value}"]' if isinstance(value, str) else f"[{value}]"
    return path
