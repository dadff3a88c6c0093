"""What a handler is given: the work at hand.

`Work` is one unit of work whatever began it: an RPC, an event or a clock. It has one instant (`now`), one transaction
(`tx`) and one actor; what it tells, audits and times becomes true together with its state, or not at all.
`Call` is the work of an RPC and knows its caller.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from google.protobuf.message import Message

from closedloop_chassis import errors

if TYPE_CHECKING:
    from closedloop_chassis.calendar.business import Calendars
    from closedloop_chassis.clocks.stopwatch import Clocks
    from closedloop_chassis.clocks.timers import Timers
    from closedloop_chassis.contract import Method
    from closedloop_chassis.data.transaction import Reader, Transaction
    from closedloop_chassis.org.home import Home
    from closedloop_chassis.org.snapshot import OrgSnapshot
    from closedloop_chassis.process import Process
    from closedloop_chassis.rulebook.rules import Rules

RulesModel = TypeVar("RulesModel", bound="Rules")
Payload = TypeVar("Payload", bound=Message)


@dataclass(frozen=True, slots=True)
class Heard(Generic[Payload]):
    """An event that reached us: CloudEvents attributes and the message."""

    id: str
    source: str
    subject: str
    time: datetime
    sequence: int
    message: Payload


@dataclass(slots=True)
class Work:
    """One unit of work. `actor` and `cause` go into the audit trail: who, and through which RPC, event or clock."""

    process: Process
    now: datetime
    actor: str
    cause: str
    tx: Transaction
    on_behalf_of: str = ""
    # Begun before, and undone because others were faster: who chooses among rows now holds them first, and nothing is
    # presumed.
    overtaken: bool = False

    @property
    def org(self) -> OrgSnapshot:
        return self.process.org.current

    @property
    def home(self) -> Home:
        """The day, the hour and the money of the company and its units."""
        return self.process.home(self.now)

    @property
    def calendars(self) -> Calendars:
        return self.process.calendars(self.now)

    @property
    def clocks(self) -> Clocks:
        """The clocks of this unit of work: start, meet, cancel, pause, resume."""
        return self.process.clocks.bind(self)

    @property
    def timers(self) -> Timers:
        """What this unit of work wants to be woken for: set, cancel. No clocks: nobody has to meet them."""
        return self.process.clocks.timers(self)

    @property
    def db(self) -> Reader:
        """Reads outside the transaction, one round trip each; for RPCs that change nothing."""
        return self.process.database.reader

    def rules(self, model: type[RulesModel]) -> RulesModel:
        """The rulebook `model` as it is in force at `now`."""
        return self.process.rulebooks.in_force(model, self.now)

    def tell(self, message: Message, subject: str) -> None:
        """Puts an event into the outbox; it leaves when the transaction has committed."""
        self.tx.tell(message, subject, self.now)

    def audit(
        self,
        subject: str,
        action: str,
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
        business_action: str = "",
    ) -> None:
        """Writes what changed into the audit trail; only fields that differ between `before` and `after` are kept."""
        self.tx.audit(self, subject, action, before or {}, after or {}, business_action)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, out of a verified token."""

    subject: str
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class Scope:
    """Which records this caller may touch in this call: everything, or own ones and those of some units."""

    company: bool
    owner_id: str
    unit_ids: frozenset[str]

    # Put into the WHERE of a list over records with `owner_id` and `unit_id`, with `**scope.params` among the parameters.
    SQL = "(%(scope_company)s OR owner_id = %(scope_owner)s OR unit_id = ANY(%(scope_units)s))"

    @property
    def params(self) -> dict[str, Any]:
        return {
            "scope_company": self.company,
            "scope_owner": self.owner_id,
            "scope_units": [] if self.company else list(self.unit_ids),
        }

    def covers(self, owner_id: str, unit_id: str, participants: Collection[str] = ()) -> bool:
        return self.company or owner_id == self.owner_id or unit_id in self.unit_ids or self.owner_id in participants


@dataclass(slots=True, kw_only=True)
class Call(Work):
    """The work of one RPC; `expires` is its deadline on `time.monotonic()`, `payload` the request as it came."""

    method: Method
    caller: Caller
    scope: Scope
    request_id: str
    expires: float
    payload: bytes = b""

    @property
    def by_outsider(self) -> bool:
        """Whether the caller has no part in the organisation, hence in nothing its people share."""
        return not self.scope.company and self.org.person(self.caller.subject) is None

    def authorize(self, owner_id: str, unit_id: str, participants: Collection[str] = ()) -> None:
        """Raises PermissionDenied unless the record is within the caller's reach. Call it for every record read by id."""
        if not self.scope.covers(owner_id, unit_id, participants):
            raise errors.PermissionDenied(
                "OUT_OF_SCOPE",
                f"{self.caller.subject} may not do {self.method.name} on a record of {unit_id or owner_id}",
            )
