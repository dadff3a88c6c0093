"""A warning as the page has it, and how what several services know of one becomes one line (S102)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, get_args

# "cannot_say": acted upon, and no data tells yet. "not_checked": the company does not check this kind. "gone": passed before
# anybody acted.
Result = Literal["open", "cannot_say", "worked", "did_not_work", "gone", "called_off", "not_checked"]
# Between a warning and the task it raises in another service.
A_MOMENT = timedelta(minutes=1)
RESULTS: tuple[Result, ...] = get_args(Result)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`key` is what a task about it names: its cause, or the record it is about. `automatic` is what the rule set going by itself,
    `action` what a person did, `told` what the check found."""

    service: str
    id: str
    kind: str
    light: int
    subject: str
    owner_id: str
    unit_id: str
    raised: datetime
    result: Result
    key: str
    automatic: str = ""
    action: str = ""
    told: str = ""

    def document(self) -> dict[str, object]:
        names = ("service", "id", "kind", "subject", "owner_id", "unit_id", "automatic", "action", "result", "told")
        return {**{name: getattr(self, name) for name in names}, "raised": self.raised.isoformat(), "light": self.light}


def merged(warnings: Iterable[Line], tasks: Iterable[Line]) -> list[Line]:
    """Newest first. Whoever raised a warning says whether it worked; its task adds who has it now and what he did. A task of which
    the origin keeps nothing stands for itself, with what became of its cause."""
    lines = {(one.service, one.id): one for one in warnings}
    own = defaultdict(list)
    for one in sorted(lines.values(), key=lambda one: one.raised):
        own[one.service, one.key].append(one)
    # Of several tasks about one warning the newest comes last.
    for task in sorted(tasks, key=lambda one: one.raised):
        about = _about(own[task.service, task.key], task.raised)
        if about is None:
            lines[task.service, task.id] = task
        else:
            lines[about.service, about.id] = _with_task(lines[about.service, about.id], task)
    return sorted(lines.values(), key=lambda one: (one.raised, one.id), reverse=True)


def _about(warned: Sequence[Line], raised: datetime) -> Line | None:
    """Warned of the same more than once, a task is about the last time before it; events may take a moment."""
    before = [one for one in warned if one.raised <= raised + A_MOMENT]
    return before[-1] if before else warned[0] if warned else None


def _with_task(line: Line, task: Line) -> Line:
    result, told = line.result, line.told
    if result == "open" and task.result in ("not_checked", "cannot_say"):
        # Done on the work list, and the origin has not looked since.
        result = "cannot_say"
    elif result == "open" and task.result in ("worked", "did_not_work"):
        result, told = task.result, task.told
    elif result == "gone" and task.result in ("worked", "did_not_work", "cannot_say", "not_checked"):
        # The data is in order again, and somebody had acted.
        result = "worked"
    return replace(
        line,
        result=result,
        told=told,
        owner_id=task.owner_id if line.result == "open" and task.owner_id else line.owner_id,
        automatic=line.automatic or task.automatic,
        action=line.action or task.action,
    )
