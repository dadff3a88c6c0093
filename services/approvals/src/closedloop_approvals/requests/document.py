"""A request and its trail as a page people read: what was asked, who answered what and when, and the hash that seals it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from html import escape
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.money_pb2 import Money

from closedloop.approvals.v1 import requests_pb2 as pb
from closedloop_chassis import protos
from closedloop_chassis.org.snapshot import OrgSnapshot

_WORDS: dict[str, tuple[str, str]] = {
    "approval": ("Approval", "审批单"),
    "subject": ("Subject", "事项"),
    "kind": ("Kind", "类别"),
    "version": ("Version", "版本"),
    "digest": ("Digest of the content", "内容摘要"),
    "summary": ("Summary", "摘要"),
    "submitter": ("Submitted by", "提交人"),
    "reason": ("Reason", "理由"),
    "amount": ("Amount", "金额"),
    "discount": ("Discount", "折扣"),
    "state": ("State", "状态"),
    "open_time": ("Opened", "提交时间"),
    "close_time": ("Closed", "结束时间"),
    "elapsed": ("Working time", "用时（工作时间）"),
    "decided_by": ("Decided by", "决定人"),
    "conditions": ("Conditions", "附加条件"),
    "rules": ("Rules", "适用规则"),
    "source": ("Brought in by", "录入"),
    "trail": ("Trail", "审批记录"),
    "time": ("Time", "时间"),
    "who": ("Who", "人员"),
    "action": ("Action", "操作"),
    "whom": ("Concerned", "相关人员"),
    "words": ("Words", "意见"),
    "for": ("for", "代"),
    "step": ("step", "步骤"),
    "seal": ("Last hash of the trail", "记录末尾哈希"),
    "hours": ("h", "小时"),
    "attachments": ("attachments", "附件"),
    "pending": ("pending", "审批中"),
    "opened": ("opened", "提交"),
    "asked": ("asked", "请求签署"),
    "approved": ("approved", "同意"),
    "rejected": ("rejected", "拒绝"),
    "returned": ("returned", "退回"),
    "resubmitted": ("resubmitted", "重新提交"),
    "recalled": ("recalled", "撤回"),
    "withdrawn": ("withdrawn", "来源撤销"),
    "signer_added": ("signer added", "加签"),
    "handed_over": ("handed over", "转审"),
    "commented": ("commented", "评论"),
    "reminded": ("reminded", "催办"),
    "escalated": ("escalated", "升级"),
    "rerouted": ("rerouted", "改派"),
    "imported": ("imported", "历史导入"),
    "decided_by_silence": ("decided by silence", "逾期自动决定"),
}


def wording(language: str) -> Mapping[str, str] | None:
    """The words of "en" or "zh"; None for others."""
    if language not in ("en", "zh"):
        return None
    return {name: pair[language == "zh"] for name, pair in _WORDS.items()}


@dataclass(frozen=True, slots=True)
class Document:
    """What is printed; times in `zone`, people by name and id."""

    request: pb.Request
    entries: list[pb.TrailEntry]
    words: Mapping[str, str]
    zone: ZoneInfo
    org: OrgSnapshot

    def person(self, person_id: str) -> str:
        known = self.org.person(person_id)
        return f"{known.name} ({person_id})" if known and known.name != person_id else person_id

    def time(self, moment: Timestamp) -> str:
        local = moment.ToDatetime(tzinfo=UTC).astimezone(self.zone)
        return f"{local:%Y-%m-%d %H:%M:%S %z}"

    def fields(self) -> Iterator[tuple[str, str]]:
        """Heading and value of everything that is known."""
        held, words, facts = self.request, self.words, self.request.facts
        state = pb.RequestState.Name(held.state).removeprefix("REQUEST_STATE_").lower()
        amount = f"{_units(facts.amount):,.2f} {facts.amount.currency_code}" if facts.HasField("amount") else ""
        values = {
            "subject": held.subject.title,
            "kind": f"{held.subject.kind} · {held.subject.origin}/{held.subject.id}",
            "version": str(held.subject.version),
            "digest": held.subject.digest,
            "summary": held.subject.summary,
            "submitter": self.person(held.submitter_id),
            "reason": held.reason,
            "amount": amount,
            "discount": f"{facts.discount_ratio:.2%}" if facts.HasField("discount_ratio") else "",
            "state": words[state],
            "open_time": self.time(held.open_time),
            "close_time": self.time(held.close_time) if held.HasField("close_time") else "",
            "elapsed": f"{held.elapsed.ToTimedelta().total_seconds() / 3600:.2f} {words['hours']}",
            "decided_by": self.person(held.decided_by) if held.decided_by else "",
            "conditions": held.conditions,
            "rules": "; ".join(rule.explanation or rule.rule for rule in held.rules),
            "source": f"{held.provenance.source}: {self.person(held.provenance.brought_by)}",
        }
        yield from ((words[name], value) for name, value in values.items() if value)

    def lines(self) -> Iterator[tuple[str, str, str, str, str, str]]:
        """Of each entry: number, time, who (for whom), what, whom it concerns, the words."""
        for entry in self.entries:
            who = self.person(entry.actor_id)
            if entry.on_behalf_of:
                who += f" {self.words['for']} {self.person(entry.on_behalf_of)}"
            name = pb.TrailAction.Name(entry.action).removeprefix("TRAIL_ACTION_").lower()
            action = self.words[name]
            if entry.step:
                action += f" ({self.words['step']} {entry.step})"
            said = [entry.comment]
            if entry.attachments:
                said.append(
                    f"{self.words['attachments']}: " + ", ".join(f"{a.name} {a.digest}" for a in entry.attachments)
                )
            said += [e.text or f"{e.name}: {e.value:g} {e.unit}".strip() for e in entry.evidence]
            whom = ", ".join(map(self.person, entry.person_ids))
            yield str(entry.sequence), self.time(entry.time), who, action, whom, "\n".join(filter(None, said))

    @property
    def headings(self) -> tuple[str, ...]:
        return ("#", *(self.words[name] for name in ("time", "who", "action", "whom", "words")))


def markdown(shown: Document) -> str:
    """CommonMark with tables; what people wrote cannot break out of its cell."""
    words = shown.words
    parts = [f"# {words['approval']} {shown.request.id}", ""]
    parts += [f"- **{name}**: {_inline(value)}" for name, value in shown.fields()]
    parts += ["", f"## {words['trail']}", "", _row(shown.headings), _row(["---"] * len(shown.headings))]
    parts += [_row([_inline(cell) for cell in line]) for line in shown.lines()]
    parts += ["", f"{words['seal']}: `{shown.request.trail_hash}`", ""]
    return "\n".join(parts)


def html(shown: Document) -> str:
    """One page without scripts or outside parts, fit to print."""
    words = shown.words
    title = f"{escape(words['approval'])} {escape(shown.request.id)}"
    fields = "".join(f"<tr><th>{escape(name)}</th><td>{_lines(value)}</td></tr>" for name, value in shown.fields())
    head = "".join(f"<th>{escape(name)}</th>" for name in shown.headings)
    body = "".join("<tr>" + "".join(f"<td>{_lines(cell)}</td>" for cell in line) + "</tr>" for line in shown.lines())
    return f"""<!doctype html>
<html><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head><body>
<h1>{title}</h1><table class="fields">{fields}</table>
<h2>{escape(words["trail"])}</h2><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>
<footer>{escape(words["seal"])}: <code>{escape(shown.request.trail_hash)}</code></footer></body></html>
"""


_STYLE = """
body{font:14px/1.5 sans-serif;max-width:60em;margin:2em auto}table{border-collapse:collapse;width:100%}
th,td{border:1px solid #999;padding:.3em .6em;text-align:left;vertical-align:top}.fields th{width:12em}
code,.fields td{overflow-wrap:anywhere}thead{display:table-header-group}tr{break-inside:avoid}footer{margin-top:2em}
@media print{body{margin:0;max-width:none;font-size:11px}}
"""


def _inline(text: str) -> str:
    for mark in "\\`*_[]<>|#":
        text = text.replace(mark, f"\\{mark}")
    return "<br>".join(text.splitlines())


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _lines(text: str) -> str:
    return "<br>".join(escape(line) for line in text.splitlines())


def _units(money: Money) -> float:
    return float(money.units + money.nanos / protos.NANOS)
