"""Which parameters a customer has, of which type, unit and range (S38)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import Part, Rules

Key = Annotated[str, Field(pattern=r"^[a-z0-9_.-]{1,100}$")]


class ParameterRule(Part):
    """One parameter. `unit` is UCUM-like; `least` and `most` bound numbers; `options`: what a text may be; industries
    and customer types it applies to, all where none is named."""

    title: str = Field(min_length=1, max_length=200)
    type: Literal["number", "text", "boolean", "date"] = "number"
    unit: str = Field(default="", max_length=40)
    least: float | None = None
    most: float | None = None
    options: tuple[str, ...] = ()
    longest: int = Field(default=1000, ge=1, le=10_000)
    required: bool = False
    industries: frozenset[str] = frozenset()
    customer_types: frozenset[str] = frozenset()

    @model_validator(mode="after")
    def _range_is_one(self) -> ParameterRule:
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError(f"{self.least:g} to {self.most:g} is no range")
        return self


class ParameterRules(Rules):
    """Parameters by key, in the order in which a sheet shows them."""

    rulebook: ClassVar[str] = "customers.parameters"

    parameters: dict[Key, ParameterRule] = Field(
        default={
            "site.voltage": ParameterRule(title="现场电压", unit="V", least=1, most=1000, required=True),
            "site.area": ParameterRule(title="场地面积", unit="m2", least=0, most=1_000_000),
            "site.network": ParameterRule(title="网络条件", type="text", options=("wired", "wireless", "none")),
            "line.speed": ParameterRule(
                title="产线节拍", unit="1/min", least=0, most=100_000, industries=frozenset({"manufacturing"})
            ),
            "line.count": ParameterRule(
                title="产线数量", unit="1", least=0, most=10_000, industries=frozenset({"manufacturing"})
            ),
            "classroom.count": ParameterRule(
                title="教室数量", unit="1", least=0, most=100_000, industries=frozenset({"education"})
            ),
            "acceptance.date": ParameterRule(title="期望验收日", type="date"),
            "interfaces": ParameterRule(title="需对接的系统", type="text"),
        }
    )


def applying(profile: Mapping[str, Any], rules: ParameterRules) -> dict[str, ParameterRule]:
    """The parameters of this kind of customer; a code stands for all below it."""
    industry, kind = str(profile.get("industry", "")), str(profile.get("customer_type", ""))
    return {
        key: rule
        for key, rule in rules.parameters.items()
        if (not rule.industries or _below(industry, rule.industries))
        and (not rule.customer_types or kind in rule.customer_types)
    }


def checked(key: str, value: Any, rule: ParameterRule) -> Any:
    """The value as it is kept; None erases. Raises InvalidArgument WRONG_TYPE, OUT_OF_RANGE."""
    if value is None:
        return None
    kinds: dict[str, type] = {"number": float, "text": str, "boolean": bool, "date": str}
    if isinstance(value, bool) is not (rule.type == "boolean") or not isinstance(value, kinds[rule.type]):
        raise errors.InvalidArgument("WRONG_TYPE", f"{key} is a {rule.type}", {f"values.{key}": f"a {rule.type}"})
    if rule.type == "date":
        try:
            return date.fromisoformat(str(value)).isoformat()
        except ValueError as error:
            raise errors.InvalidArgument(
                "WRONG_TYPE", f"{key} is a day like 2026-01-05", {f"values.{key}": "no day"}
            ) from error
    if isinstance(value, float):
        least = -math.inf if rule.least is None else rule.least
        most = math.inf if rule.most is None else rule.most
        if not math.isfinite(value) or not least <= value <= most:
            raise errors.InvalidArgument(
                "OUT_OF_RANGE", f"{key} is {least:g} to {most:g} {rule.unit}".strip(), {f"values.{key}": "out of range"}
            )
    if isinstance(value, str) and (len(value) > rule.longest or (rule.options and value not in rule.options)):
        allowed = f"one of {', '.join(rule.options)}" if rule.options else f"at most {rule.longest} characters"
        raise errors.InvalidArgument("OUT_OF_RANGE", f"{key} is {allowed}", {f"values.{key}": allowed})
    return value


def _below(code: str, codes: frozenset[str]) -> bool:
    return any(code == one or code.startswith(f"{one}.") for one in codes)
