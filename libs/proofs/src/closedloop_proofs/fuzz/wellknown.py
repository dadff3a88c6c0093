"""Google's own types within a plausible request: ordinary ones, and some at the ends of time and money."""

from __future__ import annotations

from random import Random
from typing import Any

from closedloop_proofs.fuzz import values


def put_well_known(target: Any, draw: Random, edgy: bool) -> bool:
    """False where `target` is none of them and has to be filled field by field."""
    put = _PUT.get(target.DESCRIPTOR.full_name)
    if put is not None:
        put(target, draw, edgy)
    return put is not None


def _timestamp(target: Any, draw: Random, edgy: bool) -> None:
    target.seconds = draw.choice(values.MOMENTS if edgy else values.ORDINARY_MOMENTS)
    target.nanos = draw.choice(values.NANOS) if edgy and draw.random() < 0.3 else 0


def _duration(target: Any, draw: Random, edgy: bool) -> None:
    target.seconds = draw.choice(values.SPANS) if edgy else 3600
    target.nanos = draw.choice(values.NANOS) if edgy and draw.random() < 0.3 else 0


def _date(target: Any, draw: Random, edgy: bool) -> None:
    target.year, target.month, target.day = draw.choice(values.DAYS if edgy else values.ORDINARY_DAYS)


def _money(target: Any, draw: Random, edgy: bool) -> None:
    target.currency_code = draw.choice(values.CURRENCIES) if edgy else "CNY"
    target.units, target.nanos = draw.choice(values.AMOUNTS) if edgy else (100, 0)


def _decimal(target: Any, draw: Random, edgy: bool) -> None:
    target.value = draw.choice(values.DECIMALS) if edgy else "1"


def _interval(target: Any, draw: Random, edgy: bool) -> None:
    for end in (target.start_time, target.end_time):
        if draw.random() < 0.8:
            _timestamp(end, draw, edgy)


def _mask(target: Any, draw: Random, edgy: bool) -> None:
    paths = [draw.choice(values.MASKS) for _ in range(draw.choice((1, 1, 2, 500 if edgy else 3)))]
    target.paths.extend(paths)


def _struct(target: Any, draw: Random, edgy: bool) -> None:
    if edgy:
        target.CopyFrom(values.struct(draw))
    else:
        target.update({"note": "客户"})


def _value(target: Any, draw: Random, edgy: bool) -> None:
    kind = draw.choice(("number", "text", "nothing", "list", "struct", "unset") if edgy else ("text", "number"))
    if kind == "number":
        target.number_value = draw.choice(values.REALS) if edgy else 1.0
    elif kind == "text":
        target.string_value = draw.choice(values.TEXTS) if edgy else "客户"
    elif kind == "nothing":
        target.null_value = 0
    elif kind == "list":
        target.list_value.values.add().number_value = draw.choice(values.REALS)
    elif kind == "struct":
        target.struct_value.CopyFrom(values.struct(draw))


_PUT = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.FieldMask": _mask,
    "google.protobuf.Struct": _struct,
    "google.protobuf.Value": _value,
    "google.type.Date": _date,
    "google.type.Money": _money,
    "google.type.Decimal": _decimal,
    "google.type.Interval": _interval,
}
