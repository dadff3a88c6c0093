"""What personal data is kept for, how long, and how soon a person is answered."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import ClockSetting, Part, Rules

Purpose = Annotated[str, Field(pattern=r"^[a-z0-9_.-]{1,100}$")]
Ground = Literal["consent", "contract", "legal_duty", "legitimate"]


class Processing(Part):
    """`retention_days` after the last use; null: as long as the record."""

    purposes: tuple[Purpose, ...] = Field(min_length=1)
    legal_ground: Ground
    retention_days: int | None = Field(default=None, ge=1, le=36_600)


class PersonalDataRules(Rules):
    """`processing` by message ("ContactProfile") or field ("ContactProfile.note"); the longer name goes before."""

    rulebook: ClassVar[str] = "customers.personal_data"

    purposes: dict[Purpose, str] = Field(
        default={
            "sales_contact": "就其咨询与其联系",
            "contract": "订立和履行合同",
            "service": "售后服务",
            "marketing": "营销信息",
            "accountability": "内部管理与留痕",
        }
    )
    # Withdrawn, these close channels and end messages, like a withdrawal of everything.
    message_purposes: frozenset[str] = frozenset({"sales_contact", "marketing"})
    processing: dict[str, Processing] = Field(
        default={
            "ContactProfile": Processing(
                purposes=("contract", "service"), legal_ground="contract", retention_days=1825
            ),
            "ContactProfile.note": Processing(
                purposes=("sales_contact",), legal_ground="legitimate", retention_days=1825
            ),
            "Employment": Processing(purposes=("contract",), legal_ground="legitimate", retention_days=1825),
            "LeadProfile": Processing(purposes=("sales_contact",), legal_ground="consent", retention_days=730),
            "LeadSubmission": Processing(purposes=("sales_contact",), legal_ground="consent", retention_days=730),
        }
    )
    otherwise: Processing = Processing(purposes=("accountability",), legal_ground="legitimate")
    # From when a request reached us.
    answer: ClockSetting = ClockSetting(days=15, calendar="business", warn_at=0.67)
    export_days: int = Field(default=30, ge=1, le=366)
    # Who made a deal with us is kept so long after it: the law wants its records (Civil Code, art. 188).
    duty_days: int = Field(default=1095, ge=0, le=36_600)
    # What stands where a name stood.
    erased_name: str = Field(default="（已删除）", min_length=1, max_length=100)
    # How often records past their retention are looked for, and how many one look erases.
    look_every: ClockSetting = ClockSetting(days=1)
    largest_look: int = Field(default=1000, ge=1, le=100_000)
    access_days: int = Field(default=1095, ge=1, le=36_600)

    @model_validator(mode="after")
    def _purposes_are_known(self) -> PersonalDataRules:
        named = {purpose for one in (*self.processing.values(), self.otherwise) for purpose in one.purposes}
        if unknown := (named | self.message_purposes) - set(self.purposes):
            raise ValueError(f"purposes that nothing explains: {', '.join(sorted(unknown))}")
        return self

    def of(self, message: str, field: str) -> Processing:
        return self.processing.get(f"{message}.{field}") or self.processing.get(message) or self.otherwise

    def kept_until(self, message: str, now: datetime) -> datetime | None:
        """Records last used before this are past their retention; None: they are kept."""
        days = self.of(message, "").retention_days
        return None if days is None else now - timedelta(days=days)


def check_purpose(purpose: str, rules: PersonalDataRules) -> None:
    """Raises InvalidArgument UNKNOWN_PURPOSE."""
    if purpose and purpose not in rules.purposes:
        known = ", ".join(rules.purposes)
        raise errors.InvalidArgument("UNKNOWN_PURPOSE", f"purposes are {known}", {"purpose": "unknown"})
