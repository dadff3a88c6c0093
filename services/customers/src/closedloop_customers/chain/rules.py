"""Roles, influence, the weight of a concern, and which solution answers it (S36, S37)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from closedloop_chassis.rulebook.rules import Part, Rules
from closedloop_customers import scoring
from closedloop_customers.scoring import Dimension

Role = Literal[
    "initiator",
    "user",
    "influencer",
    "technical_evaluator",
    "economic_buyer",
    "decision_maker",
    "approver",
    "purchaser",
    "gatekeeper",
    "champion",
]
Key = Literal["position", "activity", "recency", "reports", "key_contact"]


class Position(Part):
    """What a job title tells: the first whose words stand in title or department."""

    words: tuple[str, ...]
    role: Role
    # 0..100.
    weight: float = Field(ge=0, le=100)


class ChainRules(Rules):
    """How the buying group is read out of what systems know."""

    rulebook: ClassVar[str] = "customers.decision_chain"

    positions: tuple[Position, ...] = (
        Position(words=("秘书", "助理", "前台", "assistant"), role="gatekeeper", weight=15),
        Position(
            words=("首席财务", "财务总监", "财务负责", "cfo", "finance director"), role="economic_buyer", weight=80
        ),
        Position(
            words=("首席技术", "技术总监", "总工", "cto", "信息中心主任", "cio"), role="technical_evaluator", weight=70
        ),
        Position(
            words=("董事长", "总裁", "总经理", "校长", "院长", "局长", "厅长", "ceo", "president", "owner"),
            role="decision_maker",
            weight=95,
        ),
        Position(words=("法务", "审计", "合规", "legal"), role="approver", weight=45),
        Position(words=("采购", "招标", "purchas", "procure"), role="purchaser", weight=50),
        Position(words=("财务", "finance"), role="economic_buyer", weight=55),
        Position(words=("工程师", "技术", "信息", "研发", "engineer", "it"), role="technical_evaluator", weight=40),
        Position(words=("总监", "副总", "主任", "处长", "director", "vp"), role="influencer", weight=65),
        Position(words=("经理", "科长", "主管", "manager", "head"), role="influencer", weight=45),
    )
    other_position: Position = Position(words=(), role="user", weight=20)
    influence: dict[Key, Dimension] = Field(
        default={
            "position": Dimension(title="职务", weight=0.5, full_at=100, missing_points=20),
            "activity": Dimension(title="互动次数", weight=0.15, full_at=6, missing_points=0),
            "recency": Dimension(title="最近互动", weight=0.1, zero_at=180, full_at=7, missing_points=0, unit="d"),
            "reports": Dimension(title="下属人数", weight=0.15, full_at=3, missing_points=0),
            "key_contact": Dimension(title="关键联系人", weight=0.1, full_at=1, missing_points=0),
        }
    )
    activity_days: int = Field(default=180, ge=1, le=3660)
    # By stage of the opportunity; "" for any other: roles somebody should hold.
    expected_roles: dict[str, tuple[Role, ...]] = Field(
        default={"": ("decision_maker", "economic_buyer", "technical_evaluator")}
    )
    # Roles whose questions of return are an executive's.
    executives: frozenset[Role] = frozenset({"decision_maker", "economic_buyer"})
    # Strength of a relation nobody has put a number on.
    default_strength: float = Field(default=0.5, gt=0, le=1)
    # A tie half forgotten after so many days.
    half_life_days: float = Field(default=365, gt=0, le=36500)
    # Touches that make a tie of 0.63, and what colleagues of one account are to each other.
    touches_for_tie: float = Field(default=4, gt=0, le=1000)
    same_account_strength: float = Field(default=0.3, gt=0, le=1)
    # Ties looked at from one person, the strongest first.
    most_ties: int = Field(default=50, ge=1, le=1000)
    introduction_length: int = Field(default=3, ge=1, le=6)
    introductions: int = Field(default=5, ge=1, le=50)
    # Beginnings of paths looked at before one gives up: a dense acquaintance has more of them than there is time.
    patience: int = Field(default=5_000, ge=100, le=100_000)

    @model_validator(mode="after")
    def _sums_to_one(self) -> ChainRules:
        scoring.check_weights(self.influence)
        return self


class Topic(Part):
    title: str
    # What in talk shows it, where the teller has no key for it.
    words: tuple[str, ...] = ()
    technical: bool = True
    # What to say and bring.
    advice: str


class ConcernRules(Rules):
    """What people mind and hope for, and what to say to it."""

    rulebook: ClassVar[str] = "customers.concerns"

    topics: dict[str, Topic] = Field(
        default={
            "data_security": Topic(
                title="数据安全",
                words=("安全", "泄露", "等保", "加密", "security"),
                advice="带等保测评报告与部署拓扑，说明数据不出内网的方案。",
            ),
            "integration": Topic(
                title="系统对接",
                words=("对接", "接口", "集成", "integration", "api"),
                advice="带同系统对接的案例与接口清单，当场约定联调时间。",
            ),
            "performance": Topic(
                title="性能",
                words=("性能", "卡顿", "并发", "速度", "performance"),
                advice="带压测报告，提出用客户自己的数据做验证。",
            ),
            "reliability": Topic(
                title="稳定性",
                words=("故障", "稳定", "宕机", "停机", "reliab"),
                advice="带可用率记录与应急预案，说明服务等级承诺。",
            ),
            "compatibility": Topic(
                title="兼容性",
                words=("兼容", "国产", "适配", "信创", "compatib"),
                advice="带适配清单与认证证书。",
            ),
            "deployment": Topic(
                title="实施周期",
                words=("实施", "上线", "工期", "部署", "deploy"),
                advice="带同规模项目的里程碑计划与双方分工。",
            ),
            "price": Topic(
                title="价格",
                words=("价格", "太贵", "预算", "报价", "price"),
                technical=False,
                advice="先谈价值与总拥有成本，再谈价格；准备分期方案。",
            ),
            "payback": Topic(
                title="投资回报",
                words=("回报", "回本", "收益", "投入产出", "roi", "payback"),
                technical=False,
                advice="用客户自己的产量与人工数据算出回收期，带同行业的实际数字。",
            ),
            "total_cost": Topic(
                title="总拥有成本",
                words=("维护费", "总成本", "运维成本", "tco"),
                technical=False,
                advice="列出五年总成本，与现状逐项对比。",
            ),
            "delivery": Topic(
                title="交付",
                words=("交期", "交付", "到货", "delivery"),
                technical=False,
                advice="带产能与物流安排，承诺节点。",
            ),
        }
    )
    # Topics that are questions of return where an executive raises them.
    return_topics: frozenset[str] = frozenset({"payback", "total_cost"})
    heard_severity: float = Field(default=0.6, ge=0, le=1)
    ticket_severity: float = Field(default=0.5, ge=0, le=1)


class Pack(Part):
    title: str
    topics: tuple[str, ...]
    # Empty: for every industry.
    industries: tuple[str, ...] = ()
    product_ids: tuple[str, ...] = ()


class SolutionRules(Rules):
    """Offers, and which concerns they answer."""

    rulebook: ClassVar[str] = "customers.solution_packs"

    packs: dict[str, Pack] = Field(
        default={
            "private_deployment": Pack(title="私有化部署包", topics=("data_security", "compatibility")),
            "integration_kit": Pack(title="系统对接包", topics=("integration", "deployment")),
            "performance_proof": Pack(title="性能验证包", topics=("performance", "reliability")),
            "value_case": Pack(title="投资回报测算包", topics=("payback", "total_cost", "price")),
        }
    )
    # Of a pack made for other industries.
    other_industry: float = Field(default=0.5, ge=0, le=1)


class BriefRules(Rules):
    """What a rep reads at the customer's door (S37)."""

    rulebook: ClassVar[str] = "customers.visit_brief"

    technical_concerns: int = Field(default=2, ge=1, le=10)
    roi_questions: int = Field(default=1, ge=1, le=10)
    people: int = Field(default=5, ge=1, le=20)
    # A concern half forgotten after so many days.
    half_life_days: float = Field(default=90, gt=0, le=3660)
    # Raised so often, it weighs in full.
    full_occurrences: int = Field(default=3, ge=1, le=100)
    # Of a concern that nobody in particular has raised.
    nobody_influence: float = Field(default=30, ge=0, le=100)


@dataclass(frozen=True, slots=True)
class Concern:
    """As rules look at it; `severity` 0..1."""

    id: str
    contact_id: str
    kind: str
    state: str
    topic: str
    severity: float
    occurrences: int
    last_raised_at: datetime


def position(job_title: str, department: str, rules: ChainRules) -> Position:
    text = f"{job_title} {department}".lower()
    for known in rules.positions:
        if any(_stands_in(word, text) for word in known.words):
            return known
    return rules.other_position


def influence(measures: Mapping[str, float | None], rules: ChainRules) -> float:
    return sum(scoring.points(measures.get(key), one) * one.weight for key, one in rules.influence.items())


def topic_of(key: str, sentence: str, rules: ConcernRules) -> str:
    """By the teller's key, else by the word that comes first in the sentence; empty where neither says anything."""
    if key in rules.topics:
        return key
    text = sentence.lower()
    said = [(text.find(word), name) for name, topic in rules.topics.items() for word in topic.words if word in text]
    return min(said)[1] if said else ""


def kind_of(topic: str, executive: bool, rules: ConcernRules) -> str:
    if topic in rules.return_topics and executive:
        return "roi_question"
    return "technical_objection" if rules.topics[topic].technical else "commercial_objection"


def weight(concern: Concern, influence: float, now: datetime, rules: BriefRules) -> float:
    """0..1: how much the deal hangs on it, who says it, how often and how lately."""
    age = max((now - concern.last_raised_at).total_seconds() / 86400, 0.0)
    often = min(concern.occurrences / rules.full_occurrences, 1.0)
    return float(concern.severity * influence / 100 * (0.5 + 0.5 * often) * 0.5 ** (age / rules.half_life_days))


def fitting(concerns: Sequence[Concern], industry: str, rules: SolutionRules) -> list[tuple[str, float, list[str]]]:
    """(pack, share of the open concerns' severity that it answers, those concerns), the best first."""
    waiting = [concern for concern in concerns if concern.state == "open"]
    whole = sum(concern.severity for concern in waiting) or 1.0
    found = []
    for key, pack in rules.packs.items():
        answered = [concern for concern in waiting if concern.topic in pack.topics]
        ours = not pack.industries or any(industry.startswith(code) for code in pack.industries)
        fit = sum(concern.severity for concern in answered) / whole * (1.0 if ours else rules.other_industry)
        if answered:
            found.append((key, fit, [concern.id for concern in answered]))
    return sorted(found, key=lambda pack: (-pack[1], pack[0]))


def missing_roles(held: Collection[str], stage: str, rules: ChainRules) -> list[str]:
    expected = rules.expected_roles.get(stage, rules.expected_roles.get("", ()))
    return [role for role in expected if role not in held]


def in_reporting_cycle(person: str, superior: str, superiors: Mapping[str, str]) -> bool:
    seen: set[str] = set()
    while superior and superior not in seen:
        if superior == person:
            return True
        seen.add(superior)
        superior = superiors.get(superior, "")
    return False


def _stands_in(word: str, text: str) -> bool:
    """Short Latin words stand alone: "it" is not in "recruiter"."""
    if word.isascii() and len(word) <= 3:
        return f" {word} " in f" {text} "
    return word in text
