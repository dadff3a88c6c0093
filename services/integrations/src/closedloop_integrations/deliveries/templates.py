"""The words of messages: the rulebook "integrations.templates", and how fields get into them.

`{field}` is replaced; `[[ … ]]` is left out as a whole where a field in it is missing; a field missing outside of such
brackets is an error. Nothing in a template is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import Part, Rules

_FIELD = re.compile(r"\{(\w{1,64})\}")
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


_FAREWELL_ZH = "[[\n\n{owner_name}]]\n\n如不希望再收到此类邮件，请回复“退订”。"
_FAREWELL_EN = '[[\n\n{owner_name}]]\n\nReply "unsubscribe" if you do not want such mails.'
DEFAULTS = {
    "wake_up": Template(
        words=_zh_en(
            (
                "[[{account_name}]]近况可好？",
                "[[{contact_name}]]您好：\n\n好久没有联系了，想了解一下近期有什么可以协助的。" + _FAREWELL_ZH,
            ),
            (
                "Keeping in touch",
                "Dear [[{contact_name}]],\n\nit has been a while. Is there anything we can help with?" + _FAREWELL_EN,
            ),
        ),
        topics={
            "product_updated": _zh_en(
                (
                    "您关注的[[{product_name}]]有更新",
                    "[[{contact_name}]]您好：\n\n您此前关注的[[“{product_name}”]]产品有了新的更新[[：{update}]]，或许正合您的需要。"
                    + _FAREWELL_ZH,
                ),
                (
                    "[[{product_name}: ]]something new",
                    "Dear [[{contact_name}]],\n\na product you looked at[[ ({product_name})]] was updated[[: {update}]]."
                    + _FAREWELL_EN,
                ),
            ),
            "neighbour_succeeded": _zh_en(
                (
                    "与您相近的客户取得了成效",
                    "[[{contact_name}]]您好：\n\n一家与贵单位相近的客户[[（{neighbour_name}）]]最近取得了成效[[：{story}]]，愿与您分享其做法。"
                    + _FAREWELL_ZH,
                ),
                (
                    "A customer like you succeeded",
                    "Dear [[{contact_name}]],\n\na customer like you[[ ({neighbour_name})]] succeeded lately[[: {story}]]."
                    + _FAREWELL_EN,
                ),
            ),
        },
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
                "[[{submitter_name}]]提交的申请[[“{title}”]]等待您的审批[[，金额 {amount}]][[，请于 {due_time} 前处理]]。[[\n{reason}]]",
            ),
            (
                "Waiting for your approval[[: {title}]]",
                'A request[[ "{title}"]][[ of {submitter_name}]] waits for you[[, amount {amount}]][[, due {due_time}]].[[\n{reason}]]',
            ),
        )
    ),
    "approval_escalated": Template(
        words=_zh_en(
            (
                "审批超时已升级[[：{title}]]",
                "申请[[“{title}”]]未能按时审批[[（原审批人：{signer_name}）]]，现升级给您[[，金额 {amount}]][[，请于 {due_time} 前处理]]。",
            ),
            (
                "Approval escalated[[: {title}]]",
                'A request[[ "{title}"]] was not decided in time[[ by {signer_name}]] and came to you[[, amount {amount}]][[, due {due_time}]].',
            ),
        )
    ),
    "lead_assigned": Template(
        words=_zh_en(
            (
                "新线索[[：{lead_name}]]",
                "一条新线索已分配给您[[：{lead_name}]][[（{company_name}）]][[，请于 {due_time} 前首次响应]]。[[\n需求：{need}]]",
            ),
            (
                "New lead[[: {lead_name}]]",
                "A lead is yours[[: {lead_name}]][[ ({company_name})]][[, first answer due {due_time}]].[[\nNeed: {need}]]",
            ),
        )
    ),
    "lead_reassigned": Template(
        words=_zh_en(
            (
                "线索已改派[[：{lead_name}]]",
                "线索[[“{lead_name}”]]因未及时响应已改派[[，原负责人：{previous_owner_name}]][[，现负责人：{owner_name}]][[，请于 {due_time} 前响应]]。",
            ),
            (
                "Lead reassigned[[: {lead_name}]]",
                'The lead[[ "{lead_name}"]] was not answered in time and was reassigned[[ from {previous_owner_name}]][[ to {owner_name}]]'
                "[[, answer due {due_time}]].",
            ),
        )
    ),
}


class TemplateRules(Rules):
    """All templates by name; `signature` stands under what is written on somebody's behalf."""

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


def fill(text: str, fields: Mapping[str, object]) -> str:
    """Raises FieldMissing."""
    values = {name: shown for name, value in fields.items() if (shown := _shown(value))}
    text = _OPTIONAL.sub(lambda part: part[1] if all(name in values for name in _FIELD.findall(part[1])) else "", text)
    missing = tuple(dict.fromkeys(name for name in _FIELD.findall(text) if name not in values))
    if missing:
        raise FieldMissing(missing)
    return _FIELD.sub(lambda field: values[field[1]], text)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}".removesuffix(".00")
    return value if isinstance(value, str) else ""
