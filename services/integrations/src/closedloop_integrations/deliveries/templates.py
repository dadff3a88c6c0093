"""The words of messages: the rulebook "integrations.templates", and how fields get into them.

`{field}` is replaced; `[[ … ]]` is left out as a whole where a field in it is missing; a field missing outside of such
brackets is an error. Nothing in a template is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar
from zoneinfo import ZoneInfo

from pydantic import Field

from closedloop_chassis.rulebook.rules import Part, Rules

_FIELD = re.compile(r"\{(\w{1,64})\}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)")
_OPTIONAL = re.compile(r"\[\[(.*?)\]\]", re.S)


class Words(Part):
    """One language of one template; chat messages have no subject."""

    subject: str = Field(default="", max_length=500)
    text: str = Field(min_length=1, max_length=10_000)


class Template(Part):
    """Words by language ("zh", "en"), and other words for some topics."""

    words: dict[str, Words] = Field(min_length=1)
    topics: dict[str, dict[str, Words]] = Field(default_factory=dict)


def _zh_en(zh: tuple[str, str], en: tuple[str, str]) -> dict[str, Words]:
    return {"zh": Words(subject=zh[0], text=zh[1]), "en": Words(subject=en[0], text=en[1])}


DEFAULTS = {
    # Words and topic are chosen by customers, who measure them; here they get their frame.
    "wake_up": Template(
        words=_zh_en(
            ("{headline}", "{text}\n\n如不希望再收到此类邮件，请回复“退订”。"),
            ("{headline}", '{text}\n\nReply "unsubscribe" if you do not want such mails.'),
        )
    ),
    "quote_issued": Template(
        words=_zh_en(
            (
                "报价 {number}[[：{opportunity}]]",
                "您好：\n\n[[{account}的]]报价 {number} 已准备好[[，合计 {total}]][[，有效期至 {valid_until}]]。[[\n\n{terms}]]",
            ),
            (
                "Quote {number}[[: {opportunity}]]",
                "Hello,\n\nour quote {number}[[ for {account}]] is ready[[, {total} in all]][[, valid until {valid_until}]]."
                "[[\n\n{terms}]]",
            ),
        )
    ),
    "task_assigned": Template(
        words=_zh_en(
            ("新任务[[：{title}]]", "您有一项新任务[[：{title}]][[，请于 {due_time} 前完成]]。[[\n{description}]]"),
            ("New task[[: {title}]]", "You have a new task[[: {title}]][[, due {due_time}]].[[\n{description}]]"),
        )
    ),
    "approval_waiting": Template(
        words=_zh_en(
            (
                "待审批[[：{title}]]",
                "[[{submitter_name}]]提交的申请[[“{title}”]]等待您的审批[[，金额 {amount}]]"
                "[[，请于 {due_time} 前处理]]。[[\n{reason}]]",
            ),
            (
                "Waiting for your approval[[: {title}]]",
                'A request[[ "{title}"]][[ of {submitter_name}]] waits for you[[, amount {amount}]]'
                "[[, due {due_time}]].[[\n{reason}]]",
            ),
        )
    ),
    "approval_escalated": Template(
        words=_zh_en(
            (
                "审批超时已升级[[：{title}]]",
                "申请[[“{title}”]]未能按时审批[[（原审批人：{signer_name}）]]，现升级给您"
                "[[，金额 {amount}]][[，请于 {due_time} 前处理]]。",
            ),
            (
                "Approval escalated[[: {title}]]",
                'A request[[ "{title}"]] was not decided in time[[ by {signer_name}]] and came to you'
                "[[, amount {amount}]][[, due {due_time}]].",
            ),
        )
    ),
    "lead_assigned": Template(
        words=_zh_en(
            (
                "新线索[[：{company_name}]]",
                "一条新线索已分配给您[[：{company_name}]][[，请于 {response_due_time} 前首次响应]]。[[\n需求：{need}]]",
            ),
            (
                "New lead[[: {company_name}]]",
                "A lead is yours[[: {company_name}]][[, first answer due {response_due_time}]].[[\nNeed: {need}]]",
            ),
        )
    ),
    "lead_asked_again": Template(
        words=_zh_en(
            (
                "客户再次咨询[[：{company_name}]]",
                "您的线索再次咨询[[：{company_name}]][[，请于 {response_due_time} 前回应]]。[[\n需求：{need}]]",
            ),
            (
                "Asked again[[: {company_name}]]",
                "A lead of yours asked again[[: {company_name}]][[, answer due {response_due_time}]].[[\nNeed: {need}]]",
            ),
        )
    ),
    "leads_assigned": Template(
        words=_zh_en(
            (
                "{count} 条新线索",
                "{count} 条新线索已分配给您[[：{companies} 等]][[，最早的请于 {response_due_time} 前首次响应]]。",
            ),
            (
                "{count} new leads",
                "{count} leads are yours[[: {companies} and others]][[, the first answer due {response_due_time}]].",
            ),
        )
    ),
    # What a colleague wants to have gathered.
    "digest": Template(
        words=_zh_en(
            ("{count} 条消息", "您有 {count} 条消息：\n\n{items}"),
            ("{count} messages", "{count} messages for you:\n\n{items}"),
        )
    ),
    "reminder": Template(
        words=_zh_en(
            (
                "约定提醒：{day}[[ {hour}]][[ {account}]]",
                "您与[[{account}]]约定在 {day}[[ {hour}]]（{time_zone}）：{title}",
            ),
            (
                "Agreed for {day}[[ {hour}]][[: {account}]]",
                "You agreed[[ with {account}]] on {day}[[ {hour}]] ({time_zone}): {title}",
            ),
        )
    ),
    "lead_reassigned": Template(
        words=_zh_en(
            (
                "线索已改派[[：{company_name}]]",
                "线索[[“{company_name}”]]因未及时响应已改派[[，原负责人：{previous_owner_name}]]"
                "[[，现负责人：{owner_name}]][[，请于 {response_due_time} 前响应]]。",
            ),
            (
                "Lead reassigned[[: {company_name}]]",
                'The lead[[ "{company_name}"]] was not answered in time and was reassigned'
                "[[ from {previous_owner_name}]][[ to {owner_name}]][[, answer due {response_due_time}]].",
            ),
        )
    ),
}


class TemplateRules(Rules):
    """All templates by name; `signature` stands under the words a person wrote for one message."""

    rulebook: ClassVar[str] = "integrations.templates"

    templates: dict[str, Template] = Field(default=DEFAULTS)
    default_language: str = Field(default="zh", max_length=20)
    signature: dict[str, str] = Field(
        default={"zh": "\n\n-- \n{name}[[ {title}]]", "en": "\n\n-- \n{name}[[, {title}]]"}
    )


class FieldMissing(Exception):
    """The template cannot do without these fields."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        super().__init__(", ".join(fields))
        self.fields = fields


def words_of(template: Template, topic: str, language: str, default: str) -> Words:
    """Of the topic if it has words of its own; in the language ("zh-CN" is "zh"), else the default one, else any."""
    choices = template.topics.get(topic, template.words)
    main = language.partition("-")[0].lower()
    return choices.get(main) or choices.get(default) or next(iter(choices.values()))


def fill(text: str, fields: Mapping[str, object], zone: str = "UTC") -> str:
    """Instants among the fields are shown as the clock says in `zone`. Raises FieldMissing."""
    values = {name: shown for name, value in fields.items() if (shown := _shown(value, zone))}
    text = _OPTIONAL.sub(lambda part: part[1] if all(name in values for name in _FIELD.findall(part[1])) else "", text)
    missing = tuple(dict.fromkeys(name for name in _FIELD.findall(text) if name not in values))
    if missing:
        raise FieldMissing(missing)
    return _FIELD.sub(lambda field: values[field[1]], text)


def _shown(value: object, zone: str) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}".removesuffix(".00")
    if not isinstance(value, str):
        return ""
    if _INSTANT.fullmatch(value):
        return f"{datetime.fromisoformat(value).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"
    return value
