"""What makes a need in a ticket a non-standard one (S35)."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import ClockSetting, Rules

_SENTENCES = re.compile(r"[^。！？!?；;\n]+[。！？!?；;]?|\n+")


class PointRules(Rules):
    """`phrases` of what our standard does not offer, compared without case; support's own mark goes before them."""

    rulebook: ClassVar[str] = "customers.opportunity_points"

    phrases: tuple[str, ...] = Field(
        default=(
            "非标", "定制", "能否支持", "能不能支持", "是否支持", "希望增加", "希望支持", "想要增加", "特殊要求", "二次开发",
            "扩容", "加装", "改造", "对接", "customi", "custom-made", "do you support", "can you add", "integrate with",
        )
    )  # fmt: skip
    # How long the owner has to take it up or dismiss it.
    decide: ClockSetting = ClockSetting(days=2, calendar="business")
    longest_need: int = Field(default=2000, ge=100, le=10_000)


def non_standard(text: str, rules: PointRules) -> tuple[str, str] | None:
    """The phrase and the sentence that shows it; None where nothing does."""
    for sentence in _SENTENCES.findall(text):
        low = sentence.lower()
        phrase = next((phrase for phrase in rules.phrases if phrase.lower() in low), None)
        if phrase is not None:
            return phrase, sentence.strip()
    return None
