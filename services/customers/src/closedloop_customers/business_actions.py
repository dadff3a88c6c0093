"""The business that taught us a fact: master data changes only on its strength (S30)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import Field

from closedloop.customers.v1 import accounts_pb2 as pb
from closedloop_chassis import errors, protos
from closedloop_chassis.rulebook.rules import Part, Rules
from closedloop_chassis.work import Work

# Two records are found to be one, or not to be: said by the service itself, with the reason that was given.
MERGE = "merge"


Use = Literal["change", "confirm", "import", "service"]


class ActionKind(Part):
    title: str
    # What it may be cited for: a "change" (and whatever is less), to "confirm" what stands, an "import"; "service" is noted
    # by the service itself and cited by nobody.
    use: Use = "change"
    # Whether the action must be named where it is kept: a contract number, a ticket.
    reference_required: bool = False


class BusinessActionRules(Rules):
    """What counts as business that teaches us something about a customer."""

    rulebook: ClassVar[str] = "customers.business_actions"

    kinds: dict[str, ActionKind] = Field(
        default={
            "contract": ActionKind(title="合同", reference_required=True),
            "order": ActionKind(title="订单", reference_required=True),
            "complaint": ActionKind(title="投诉", reference_required=True),
            "ticket": ActionKind(title="工单", reference_required=True),
            "demo": ActionKind(title="演示"),
            "visit": ActionKind(title="拜访"),
            "meeting": ActionKind(title="会议"),
            "call": ActionKind(title="电话"),
            "chat": ActionKind(title="聊天"),
            "mail": ActionKind(title="邮件", reference_required=True),
            "tender": ActionKind(title="招标公告", reference_required=True),
            "registry": ActionKind(title="工商登记"),
            "suggestion": ActionKind(title="确认的建议", reference_required=True),
            "lead": ActionKind(title="线索转化", reference_required=True),
            "import": ActionKind(title="导入", use="import"),
            "creation": ActionKind(title="新建", use="service"),
            "merge": ActionKind(title="合并与拆分", use="service"),
            "verification": ActionKind(title="核实", use="confirm"),
        }
    )


def cited(work: Work, action: pb.BusinessAction, use: Use = "change") -> str:
    """The action as the trail keeps it. Raises InvalidArgument BUSINESS_ACTION_UNKNOWN, BUSINESS_ACTION_UNFIT (not for
    this use), TIME_IN_FUTURE."""
    kind = work.rules(BusinessActionRules).kinds.get(action.kind)
    if kind is None:
        known = ", ".join(work.rules(BusinessActionRules).kinds)
        raise errors.InvalidArgument(
            "BUSINESS_ACTION_UNKNOWN",
            f"{action.kind} is no business action; known are {known}",
            {"business_action.kind": action.kind},
        )
    if kind.use not in ("change", use):
        raise errors.InvalidArgument(
            "BUSINESS_ACTION_UNFIT",
            f"{action.kind} is no business that teaches us something new; cite the call, visit, contract that did",
            {"business_action.kind": f"{action.kind} is not cited for this: {use}"},
        )
    if kind.reference_required and not action.reference.strip():
        raise errors.InvalidArgument(
            "BUSINESS_ACTION_UNKNOWN",
            f"say which {action.kind} it was",
            {"business_action.reference": f"a {action.kind} is cited by its id"},
        )
    occurred = (
        protos.instant(action.occur_time, "business_action.occur_time") if action.HasField("occur_time") else work.now
    )
    if occurred > work.now:
        raise errors.InvalidArgument(
            "TIME_IN_FUTURE", "what teaches us something has happened", {"business_action.occur_time": "in the future"}
        )
    return text(action.kind, action.reference, action.note, occurred)


def text(kind: str, reference: str = "", note: str = "", occurred: datetime | None = None) -> str:
    fields = {"kind": kind, "reference": reference, "note": note, "time": occurred.isoformat() if occurred else ""}
    return json.dumps({name: value for name, value in fields.items() if value}, ensure_ascii=False)


def to_proto(kept: str) -> pb.BusinessAction | None:
    """None where the trail cites nothing."""
    if not kept:
        return None
    fields: dict[str, Any] = json.loads(kept)
    occurred = fields.get("time")
    return pb.BusinessAction(
        kind=fields["kind"],
        reference=fields.get("reference", ""),
        note=fields.get("note", ""),
        occur_time=protos.timestamp(datetime.fromisoformat(occurred)) if occurred else None,
    )
