"""What is advised on what was heard, and which clauses customers like this one cared about (S87)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from closedloop_chassis.rulebook.rules import ClockSetting, Part, Rules


class Hint(Part):
    """A piece of advice, ready to be said or written."""

    title: str = Field(min_length=1, max_length=200)
    text: str = Field(min_length=1, max_length=2000)


def _hint(title: str, text: str) -> Hint:
    return Hint(title=title, text=text)


TALK: Mapping[str, Hint] = {
    "core_point_missing": _hint("讲核心卖点", "介绍产品时先说对他这一行最有用的一个数字, 再说功能。"),
    "avoids_price_objection": _hint("正面回应价格", "先认同预算压力, 再按三年总成本折算, 最后谈分期; 不要岔开话题。"),
    "overpromises": _hint("承诺留余地", "用「合同里写明」代替「肯定没问题」; 做不到的现在就说清。"),
    "disparages_competitor": _hint("不贬低对手", "说清我们不同在哪三点, 请客户自己试样比较。"),
    "discount_unprompted": _hint("别先让价", "客户没提价格之前不谈折扣; 让步要换来签约时间或付款方式。"),
    "no_next_step": _hint("约下一步", "结束前说定谁、哪天、做什么, 当晚发纪要。"),
    "does_not_know": _hint("答不上来怎么办", "说「今天下班前给您准数」, 并当天回复; 事后补上这一课。"),
    "pressures": _hint("别逼单", "把「今天不定就没了」换成不做的每月损失, 让客户自己算。"),
    "passes_blame": _hint("不推责任", "先道歉并给出责任人和时间, 内部问题内部解决。"),
    "pain_not_explored": _hint("追问痛点", "客户提到困难时先问多久一次、损失多少、谁最受影响, 再谈方案。"),
    "decision_unasked": _hint("问决策流程", "问一句: 上次类似项目是怎么定下来的, 还有谁需要看到方案?"),
    "side_deal": _hint("不私下许诺", "一切优惠以审批后的报价单为准, 口头答应的今天就补流程。"),
}
CLAUSES: Mapping[str, Hint] = {
    "payment_terms": _hint("付款方式", "准备一个预付、到货、验收、质保金的分段方案, 并备好保函作替代。"),
    "warranty": _hint("质保", "写明年限、范围与延保价格, 对照客户现有设备的停机损失。"),
    "delivery": _hint("交期与违约", "写明从哪天起算、每周延误赔多少、客户原因如何顺延。"),
    "acceptance": _hint("验收标准", "用产能、良率、连续运行三项可测指标, 作为附件双方签字。"),
    "data_security": _hint("数据安全", "写明数据存放地点、访问留痕和离场清除。"),
    "service": _hint("服务响应", "写明响应与到场时限、备件到货时限和升级联系人。"),
    "price": _hint("价格与有效期", "报价有效期、涨价条件与批量阶梯写在一处。"),
    "training": _hint("培训", "写明场次、对象和驻场天数。"),
}


class AdviceRules(Rules):
    """`most` items a piece; three clauses after a proposal. Clauses of similar customers take `least_similar` of them with
    feedback within `since_days`. An item others did not find helpful sinks: its place counts `prior` votes of each
    sort beforehand. Given `after` it was logged."""

    rulebook: ClassVar[str] = "funnel.advice"

    talk: Mapping[str, Hint] = TALK
    clauses: Mapping[str, Hint] = CLAUSES
    most: int = Field(default=3, ge=1, le=20)
    most_clauses: int = Field(default=3, ge=1, le=20)
    least_similar: int = Field(default=3, ge=1, le=1000)
    since_days: int = Field(default=730, ge=1, le=3660)
    prior: float = Field(default=2, gt=0, le=1000)
    after: ClockSetting = ClockSetting(hours=0.02)


@dataclass(frozen=True, slots=True)
class Votes:
    """How often advice with an item was rated, and how often as helpful."""

    rated: int = 0
    helpful: int = 0


def liked(rules: AdviceRules, votes: Votes) -> float:
    """Share found helpful, one half before anybody said so (Laplace with `prior` of each)."""
    return (votes.helpful + rules.prior) / (votes.rated + 2 * rules.prior)


@dataclass(frozen=True, slots=True)
class Heard:
    """A risk phrase or an objection of one talk: its key, the sentence, how sure, and for an objection a reply."""

    kind: str
    key: str
    name: str
    sentence: str
    confidence: float
    reply: str = ""


def on_talk(rules: AdviceRules, heard: Sequence[Heard], votes: Mapping[str, Votes]) -> list[tuple[Heard, Hint]]:
    """Best first, one a key: the surer it was heard and the more it helped others, the sooner. An objection is advised on
    with the reply that fits it."""
    first: dict[str, tuple[Heard, Hint]] = {}
    for one in heard:
        hint = rules.talk.get(one.key) if one.kind == "risk" else None
        if one.kind == "objection" and one.reply:
            hint = Hint(title=one.name, text=one.reply)
        if hint is not None:
            first.setdefault(one.key, (one, hint))
    ranked = sorted(
        first.values(),
        key=lambda pair: (-pair[0].confidence * liked(rules, votes.get(pair[0].key, Votes())), pair[0].key),
    )
    return ranked[: rules.most]


@dataclass(frozen=True, slots=True)
class Raised:
    """A clause that similar customers raised: by how many of how many."""

    key: str
    raised: int
    similar: int


def on_clauses(rules: AdviceRules, raised: Sequence[Raised], votes: Mapping[str, Votes]) -> list[Raised]:
    """The three most raised ones, weighted by whether telling of them helped; none of too few customers."""
    enough = [one for one in raised if one.similar >= rules.least_similar and one.raised > 0]
    ranked = sorted(
        enough, key=lambda one: (-one.raised / one.similar * liked(rules, votes.get(one.key, Votes())), one.key)
    )
    return ranked[: rules.most_clauses]
