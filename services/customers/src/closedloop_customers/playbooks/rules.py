"""Which playbook applies to a record, which of its steps comes next, and what it says there (S25)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from closedloop_chassis import errors
from closedloop_chassis.rulebook.rules import ClockSetting, Part, Rules
from closedloop_customers import sayings

# What a script may name.
WORDS = frozenset({"contact", "account", "owner", "need", "product_lines", "source"})

Key = Annotated[str, Field(pattern=r"^[a-z0-9_.-]{1,100}$")]
Channel = Literal["phone", "wechat", "email", "sms", "visit", "meeting", "web", "chat", "ticket", "event"]


def _sayable(script: str) -> str:
    return sayings.checked(script, WORDS)


class Question(Part):
    """One thing to find out."""

    key: Key
    question: str = Field(min_length=1, max_length=500)
    hint: str = Field(default="", max_length=500)
    required: bool = False


class Step(Part):
    """`after`: the best moment for it, from the step before, or from when the playbook began to apply."""

    key: Key
    title: str = Field(min_length=1, max_length=200)
    channel: Channel
    script: Annotated[str, AfterValidator(_sayable), Field(max_length=4000)] = ""
    after: ClockSetting
    checklist: tuple[Question, ...] = Field(default=(), max_length=50)


class Playbook(Part):
    """Applies to records of the type and stages; an empty list means: any. Stages of accounts are their statuses."""

    title: str = Field(min_length=1, max_length=200)
    record: Literal["lead", "account"]
    stages: frozenset[str] = Field(min_length=1)
    sources: frozenset[str] = frozenset()
    industries: frozenset[str] = frozenset()
    product_lines: frozenset[str] = frozenset()
    steps: tuple[Step, ...] = Field(min_length=1, max_length=50)

    @model_validator(mode="after")
    def _keys_are_unique(self) -> Playbook:
        for keys in ([s.key for s in self.steps], *([q.key for q in s.checklist] for s in self.steps)):
            if len(set(keys)) < len(keys):
                raise ValueError(f"a key stands twice: {', '.join(keys)}")
        return self


def _question(key: str, question: str, hint: str = "", required: bool = True) -> Question:
    return Question(key=key, question=question, hint=hint, required=required)


class PlaybookRules(Rules):
    """Playbooks by key; of those that apply to a record the one does that asks for most (sources, industries, product
    lines), of several such the one whose key comes first: published, a rulebook has no order."""

    rulebook: ClassVar[str] = "customers.playbooks"

    # So long after its best moment a step is overdue.
    tolerance: ClockSetting = ClockSetting(hours=4, calendar="business")
    playbooks: dict[Key, Playbook] = Field(
        default={
            "new_lead": Playbook(
                title="新线索跟进",
                record="lead",
                stages=frozenset({"lead", "contact"}),
                steps=(
                    Step(
                        key="first_call",
                        title="首次电话",
                        channel="phone",
                        after=ClockSetting(hours=1, calendar="business"),
                        script="{contact}您好，我是{owner}。看到您在咨询{need}，想先了解一下{account}目前的情况，"
                        "再给您准备合适的资料，现在方便说两分钟吗？",
                        checklist=(
                            _question("need", "要解决什么问题？", "让客户用自己的话说，记原话"),
                            _question("timing", "希望什么时候用上？", "问背后的事件：开学、扩产、检查"),
                            _question("budget", "预算和来源？", "不追问数字，先问走什么流程", required=False),
                            _question("decision", "除您之外还有谁参与决定？", "技术、使用、采购各是谁", required=False),
                        ),
                    ),
                    Step(
                        key="second_touch",
                        title="第二次触达：发资料并约演示",
                        channel="wechat",
                        after=ClockSetting(days=2, calendar="business"),
                        script="{contact}您好，上次聊到{need}，整理了一份同类做法供您参考。"
                        "下周安排半小时演示，您看哪天方便？",
                        checklist=(_question("demo_date", "演示约在哪天？", "没有约定就写原因"),),
                    ),
                    Step(
                        key="needs_check",
                        title="需求核对",
                        channel="meeting",
                        after=ClockSetting(days=5, calendar="business"),
                        script="{contact}您好，和您逐条核对一下需求，免得方案走偏。",
                        checklist=(
                            _question("pains", "最痛的三件事？"),
                            _question("criteria", "选型看重什么？"),
                            _question("competitors", "还在看哪几家？", required=False),
                        ),
                    ),
                ),
            ),
            "nurture": Playbook(
                title="培育",
                record="lead",
                stages=frozenset({"nurture"}),
                steps=(
                    Step(
                        key="content",
                        title="发送相关案例",
                        channel="email",
                        after=ClockSetting(days=7),
                        script="{contact}您好，同行业一家客户刚做完类似项目，过程和结果附上，供{account}参考。{owner}",
                    ),
                    Step(
                        key="check_in",
                        title="回访近况",
                        channel="phone",
                        after=ClockSetting(days=30),
                        script="{contact}您好，我是{owner}，之前聊过的{need}，现在有新进展吗？",
                        checklist=(_question("change", "情况有什么变化？"),),
                    ),
                ),
            ),
            "after_sale": Playbook(
                title="成交后",
                record="account",
                stages=frozenset({"customer"}),
                steps=(
                    Step(
                        key="handover",
                        title="交付回访",
                        channel="phone",
                        after=ClockSetting(days=7, calendar="business"),
                        script="{contact}您好，我是{owner}，设备已到位一段时间，使用上有什么不顺手的地方？",
                        checklist=(_question("satisfaction", "是否满意？哪里不满意？"),),
                    ),
                    Step(
                        key="value_review",
                        title="价值回顾",
                        channel="visit",
                        after=ClockSetting(days=90),
                        script="{contact}您好，想和您一起看看{account}用了之后的效果，以及下一步的打算。",
                        checklist=(_question("result", "效果如何量化？"), _question("next", "下一步的需要？")),
                    ),
                ),
            ),
        }
    )


@dataclass(frozen=True, slots=True)
class Facts:
    """What a record is, as playbooks ask for it; `stage` is empty for one that is followed no more."""

    type: str
    stage: str
    source: str = ""
    industry: str = ""
    product_lines: Sequence[str] = ()


def choose(facts: Facts, rules: PlaybookRules) -> str:
    """The key of the playbook that applies; empty where none does."""
    applying = [(-_asks(playbook), key) for key, playbook in rules.playbooks.items() if _applies(playbook, facts)]
    return min(applying)[1] if applying else ""


def current(playbook: Playbook, settled: Collection[str]) -> Step | None:
    """The first step neither done nor skipped; None when all are."""
    return next((step for step in playbook.steps if step.key not in settled), None)


def say(script: str, words: Mapping[str, str]) -> str:
    """The script with its names filled in; what is not known is left out."""
    return sayings.said(script, words, WORDS)


def check_answers(step: Step, answers: Mapping[str, str], *, skip: bool, note: str) -> None:
    """Raises InvalidArgument UNKNOWN_ANSWER, ANSWER_MISSING (metadata `keys`), NOTE_MISSING."""
    asked = {question.key for question in step.checklist}
    if unknown := sorted(set(answers) - asked):
        raise errors.InvalidArgument(
            "UNKNOWN_ANSWER", f"{step.key} asks for {', '.join(sorted(asked)) or 'nothing'}", {"answers": str(unknown)}
        )
    if skip:
        if not note.strip():
            raise errors.InvalidArgument("NOTE_MISSING", "say why it is skipped", {"note": "required to skip"})
        return
    missing = [q.key for q in step.checklist if q.required and not answers.get(q.key, "").strip()]
    if missing:
        raise errors.InvalidArgument(
            "ANSWER_MISSING",
            "the checklist has questions without an answer",
            {"answers": str(missing)},
            keys=",".join(missing),
        )


def _asks(playbook: Playbook) -> int:
    return sum(map(bool, (playbook.sources, playbook.industries, playbook.product_lines)))


def _applies(playbook: Playbook, facts: Facts) -> bool:
    return (
        playbook.record == facts.type
        and facts.stage in playbook.stages
        and (not playbook.sources or facts.source in playbook.sources)
        and (not playbook.industries or facts.industry in playbook.industries)
        and (not playbook.product_lines or bool(playbook.product_lines & set(facts.product_lines)))
    )
