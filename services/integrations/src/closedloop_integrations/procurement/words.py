"""The words by which pages of procurement sites say what is what; a site that prints others is read once they stand here."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated

from pydantic import Field, model_validator

from closedloop_chassis.rulebook.rules import Part

Word = Annotated[str, Field(min_length=1, max_length=40)]
Words = Annotated[tuple[Word, ...], Field(max_length=100)]


class PageLabels(Part):
    """What stands before a colon, or in a table's left column, as a site prints it without blanks."""

    buyer: Words = ("采购人", "采购单位", "采购人名称", "采购单位名称", "招标人")
    agency: Words = ("代理机构", "代理机构名称", "采购代理机构")
    kind: Words = ("公告类型", "公告类别", "信息类型")
    region: Words = ("行政区域", "地区", "区域")
    published: Words = ("发布时间", "公告时间", "发布日期", "日期")
    amount: Words = ("预算金额", "采购预算", "预算", "中标金额", "成交金额", "总中标金额", "总成交金额")

    @model_validator(mode="after")
    def _one_meaning_each(self) -> PageLabels:
        labels = [label for words in self.of_fields().values() for label in words]
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise ValueError(f"{', '.join(twice)} cannot mean two things")
        return self

    def of_fields(self) -> dict[str, tuple[str, ...]]:
        return {name: getattr(self, name) for name in type(self).model_fields}


class PageWords(Part):
    """How lists and notices are read where nothing but words tells what a piece of text is."""

    labels: PageLabels = PageLabels()
    # What ends so, without a label, is a kind of notice.
    kind_endings: Words = Field(default=("公告", "公示", "意向", "通知", "合同"), min_length=1)
    # "Such School, (on) May 2026 … intention": the buyer stands before the month, and nowhere else.
    intentions: Words = Field(default=("政府采购意向",), min_length=1)
    abouts: Words = ("关于",)
    # Before the colon behind which a text names its buyer.
    body_buyers: Words = Field(default=("采购人", "采购单位"), min_length=1)
    # Before 金额 or 价, in a text: the price it is.
    body_amounts: Words = Field(default=("预算", "采购", "中标", "成交"), min_length=1)

    @cached_property
    def field_of(self) -> dict[str, str]:
        return {label: field for field, labels in self.labels.of_fields().items() for label in labels}

    @cached_property
    def kind(self) -> re.Pattern[str]:
        return re.compile(rf"(?:{one_of(self.kind_endings)})$")

    @cached_property
    def intention(self) -> re.Pattern[str]:
        about = f"(?:{one_of(self.abouts)})?" if self.abouts else ""
        return re.compile(rf"(?P<buyer>.{{4,60}}?){about}20\d{{2}}年\d{{1,2}}月.*(?:{one_of(self.intentions)})")

    @cached_property
    def body_buyer(self) -> re.Pattern[str]:
        return re.compile(
            rf"(?:{one_of(self.body_buyers)})(?:信息)?\s*(?:名\s*称)?\s*:\s*(?:名\s*称\s*:)?\s*(?P<buyer>[^\s:;,。]{{4,60}})"
        )

    @cached_property
    def body_amount(self) -> re.Pattern[str]:
        return re.compile(
            rf"(?P<label>(?:{one_of(self.body_amounts)})(?:总)?(?:金额|价)\s*(?:\([^)]{{1,12}}\))?)\s*:"
            r"\s*(?P<amount>[^。;\n]{1,40})"
        )


def one_of(words: tuple[str, ...]) -> str:
    """The longest first, so that none hides another that begins like it."""
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
