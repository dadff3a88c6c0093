"""A conversation read by the catalogue: hearings with their sentences, intent, churn, who talks how much (S48, S49)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from closedloop_funnel.talk import rules as judge
from closedloop_funnel.talk.listening import Ear, Hit, Said, Talk
from closedloop_funnel.talk.rules import Phrase, RiskRule, TalkRules


@dataclass(frozen=True, slots=True)
class Heard:
    """`kind` is keyword, objection, risk or churn; `key` is in the catalogue of that kind."""

    kind: str
    key: str
    name: str
    hit: Hit
    confidence: float
    reply: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """`late`: phrases whose patterns the time limit cut short, so that the reading may miss them."""

    heard: list[Heard]
    intent: float
    intent_change: float
    churn: float
    seller_share: float
    language: str
    late: list[str] = field(default_factory=list)


class Reader:
    """A rulebook made ready."""

    def __init__(self, rules: TalkRules) -> None:
        self.rules = rules
        self._ear = Ear(dict(_phrases(rules)))

    def read(self, said: Sequence[Said], stage: str = "", customer_type: str = "") -> Reading:
        """Replies to objections are chosen for `stage` and `customer_type`."""
        rules, talk = self.rules, Talk(said, self.rules.longest_sentence)
        hits, late = self._ear.listen(talk, rules.reading_seconds)

        def by(side: str, name: str) -> list[Hit]:
            return [hit for hit in hits.get(name, ()) if said[hit.index].side == side]

        heard: list[Heard] = []
        for key, keyword in rules.keywords.items():
            heard += [Heard("keyword", key, keyword.name, hit, 1.0) for hit in hits.get(f"keyword/{key}", ())[:1]]
        objections = {key: by("customer", f"objection/{key}") for key in rules.objections}
        for key, found in objections.items():
            rule = rules.objections[key]
            reply = rule.reply(stage, customer_type)
            heard += [Heard("objection", key, rule.name, hit, rule.confidence, reply) for hit in found]
        churn = {key: by("customer", f"churn/{key}") for key in rules.churn}
        for key, found in churn.items():
            heard += [Heard("churn", key, rules.churn[key].name, hit, rules.churn[key].weight) for hit in found]
        for key, risk in rules.risks.items():
            raised = objections.get(risk.objection, [])
            answers, due = hits.get(f"answer/{key}", []), hits.get(f"risk/{key}", [])
            heard += [
                Heard("risk", key, risk.name, hit, risk.confidence) for hit in _risk(risk, said, due, raised, answers)
            ]
        return Reading(
            heard=list(_few(heard, rules.most_hearings)),
            **self._intent(said, {key: by("customer", f"intent/{key}") for key in rules.intents}),
            churn=judge.churn_ratio(rules.churn[key].weight for key, found in churn.items() if found),
            seller_share=_share(said),
            language=_language(talk.text),
            late=late,
        )

    def _intent(self, said: Sequence[Said], found: dict[str, list[Hit]]) -> dict[str, float]:
        weights = [(hit.index, self.rules.intents[key].weight) for key, hits in found.items() for hit in hits]
        prior, middle = self.rules.intent_prior, len(said) / 2
        first = judge.intent((weight for index, weight in weights if index < middle), prior)
        second = judge.intent((weight for index, weight in weights if index >= middle), prior)
        return {"intent": judge.intent((weight for _, weight in weights), prior), "intent_change": second - first}


def _phrases(rules: TalkRules) -> Iterator[tuple[str, Phrase]]:
    yield from ((f"keyword/{key}", one.heard) for key, one in rules.keywords.items())
    yield from ((f"objection/{key}", one.heard) for key, one in rules.objections.items())
    yield from ((f"intent/{key}", one.heard) for key, one in rules.intents.items())
    yield from ((f"churn/{key}", one.heard) for key, one in rules.churn.items())
    yield from ((f"risk/{key}", one.heard) for key, one in rules.risks.items())
    yield from ((f"answer/{key}", one.answer) for key, one in rules.risks.items())


def _risk(
    risk: RiskRule, said: Sequence[Said], heard: Sequence[Hit], raised: Sequence[Hit], answers: Sequence[Hit]
) -> list[Hit]:
    """Where the risk shows."""
    seller = [hit for hit in heard if said[hit.index].side == "seller"]
    if risk.shape == "said":
        return seller
    if risk.shape == "unprompted":
        first = min((hit.index for hit in raised), default=len(said))
        return [hit for hit in seller if hit.index < first]
    if risk.shape == "missing":
        last = heard[-1:]
        return [hit for hit in last if all(abs(answer.index - hit.index) > risk.within for answer in answers)]
    due = {hit.index: hit for hit in (*heard, *raised) if said[hit.index].side == "customer"}
    answered = {hit.index for hit in answers}
    return [hit for index, hit in sorted(due.items()) if _unanswered(said, index, risk.within, answered)]


def _unanswered(said: Sequence[Said], index: int, within: int, answered: set[int]) -> bool:
    """The seller spoke after it, and none of his next turns answers."""
    turns = [at for at in range(index + 1, len(said)) if said[at].side == "seller"][:within]
    return bool(turns) and answered.isdisjoint(turns)


def _few(heard: Sequence[Heard], most: int) -> Iterator[Heard]:
    """The first of each key, in the order of the talk."""
    counts: dict[tuple[str, str], int] = {}
    for one in sorted(heard, key=lambda one: (one.hit.index, one.kind, one.key)):
        counts[one.kind, one.key] = counts.get((one.kind, one.key), 0) + 1
        if counts[one.kind, one.key] <= most:
            yield one


def _share(said: Sequence[Said]) -> float:
    seller = sum(len(one.text) for one in said if one.side == "seller")
    customer = sum(len(one.text) for one in said if one.side == "customer")
    return seller / (seller + customer) if seller + customer else 0.0


def _language(text: str) -> str:
    """zh where a fifth of the letters is Chinese: a Chinese character says more than a Latin one."""
    chinese = sum("\u3400" <= letter <= "\u9fff" for letter in text)
    return "zh" if chinese * 5 >= sum(map(str.isalpha, text)) and chinese else "en"
