"""Action units as the rulebook writes them, and when a claim of one holds (S53)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

import jsonschema_rs
import orjson
from pydantic import Field, field_validator

from closedloop_chassis.rulebook.rules import Part

CheckWord = Literal["note", "document", "photo", "matrix", "activity"]


class CheckRule(Part):
    """One condition of a unit. NOTE: so many characters; DOCUMENT, PHOTO: so many files; MATRIX: content that fits the
    JSON Schema `form`; ACTIVITY: claimed in a contact with substance, of one of `activity_kinds` (any when empty)."""

    key: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")
    name: str = Field(min_length=1, max_length=200)
    kind: CheckWord
    least: int = Field(default=1, ge=1, le=10_000)
    form: dict[str, Any] = {}
    activity_kinds: tuple[str, ...] = ()

    @field_validator("form")
    @classmethod
    def _is_schema(cls, form: dict[str, Any]) -> dict[str, Any]:
        _validator(orjson.dumps(form))
        return form


class UnitRule(Part):
    """One unit. `points` are earned when all checks hold (S56); `result_metric` is what it should move (S54)."""

    name: str = Field(min_length=1, max_length=200)
    pack: str = Field(default="", max_length=64)
    checks: tuple[CheckRule, ...] = Field(min_length=1, max_length=50)
    points: int = Field(default=0, ge=0, le=1000)
    result_metric: str = Field(default="", max_length=64)


def no_reference(uri: str) -> Any:
    """A schema stands for itself: none is fetched from anywhere."""
    raise ValueError(f"{uri} is outside the schema")


@lru_cache(maxsize=512)
def _validator(form: bytes) -> Any:
    try:
        return jsonschema_rs.Draft202012Validator(orjson.loads(form), retriever=no_reference)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        raise ValueError(f"not a JSON Schema: {error}") from error


def faults(check: CheckRule, content: Mapping[str, Any]) -> list[str]:
    """What of the content does not fit the form, in words."""
    errors = _validator(orjson.dumps(check.form)).iter_errors(content)
    return [str(error.message) for error in errors]


def failed(unit: UnitRule | None, claim: Mapping[str, Any], *, activity_kind: str, effective: bool) -> list[str]:
    """Keys of the checks that do not hold; a unit nobody defined fails by "unit_unknown".

    `claim` is ActionPerformed of the contract as JSON.
    """
    if unit is None:
        return ["unit_unknown"]
    return [
        check.key for check in unit.checks if not _holds(check, claim, activity_kind=activity_kind, effective=effective)
    ]


def _holds(check: CheckRule, claim: Mapping[str, Any], *, activity_kind: str, effective: bool) -> bool:
    if check.kind == "note":
        return len(claim.get("note", "").strip()) >= check.least
    if check.kind == "matrix":
        return "content" in claim and not faults(check, claim["content"])
    if check.kind == "activity":
        return effective and (not check.activity_kinds or activity_kind in check.activity_kinds)
    return len(set(claim.get("attachmentIds", ()))) >= check.least
