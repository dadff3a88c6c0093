"""Random people do random legal and illegal things at random times, through the contract; what must always hold, holds.

A model of the company says who may decide; the service is asked and its answer compared, in both directions. After
every act the chain verifies, there is one final decision at most, and the clock's total is the sum of its parts: of those since
the matter, or the rules it goes by, became another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import grpc.aio
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from closedloop.approvals.v1 import delegations_pb2, events_pb2, requests_pb2
from closedloop.options.v1.options_pb2 import ROLE_MANAGER, ROLE_SIGNATORY
from closedloop.targets.v1.events_pb2 import PersonChanged

from .conftest import FUNCTIONS, Company, approval, asked, facts, quote, rid, state
from .test_backtest import publish

PEOPLE = ["rep", "peer", "lead", "director", "boss", "fin1", "fin2", "law", "cfo", "north_rep", "north_director", "ops"]
PARTIES = {"rep"}
HOME = {"lead": ("team1", [ROLE_MANAGER]), "director": ("east", [ROLE_MANAGER])} | {
    person: ("office", [ROLE_SIGNATORY]) for person, _ in FUNCTIONS
}
FINAL = {"approved", "rejected", "recalled", "withdrawn"}
RUNS = {"opened", "resubmitted"}
# A refusal is an answer; UNKNOWN and INTERNAL are defects.
REFUSALS = {"PERMISSION_DENIED", "FAILED_PRECONDITION", "INVALID_ARGUMENT", "ALREADY_EXISTS", "ABORTED", "NOT_FOUND"}
PATIENCE_SECONDS = 60


async def _outcome(act: Coroutine[Any, Any, Any]) -> tuple[str, str]:
    """The code and the words of the refusal, empty where it was done."""
    try:
        await act
    except grpc.aio.AioRpcError as error:
        return str(error.code().name), str(error.details())
    return "", ""


class Office(RuleBasedStateMachine):
    """One matter after the other in the same company; `company` and `loop` are the test's."""

    company: ClassVar[Company]
    loop: ClassVar[asyncio.AbstractEventLoop]
    number: ClassVar[int] = 0
    versions: ClassVar[int] = 10**6
    # Working hours to decide in, as the rulebook has them now.
    hours: ClassVar[int] = 8

    def run(self, act: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(act, self.loop).result(PATIENCE_SECONDS)

    def attempt(self, act: Coroutine[Any, Any, Any]) -> str:
        """The code of the refusal, empty where it was done."""
        outcome, why = self.run(_outcome(act))
        assert outcome in REFUSALS | {"", "RESOURCE_EXHAUSTED"}, f"{outcome}: {why}"
        self.look()
        return str(outcome)

    def act(self, make: str, person: str, rpc: str, request: Message) -> str:
        """An RPC of that person; its clients are made in the loop they live in."""

        async def calling() -> Any:
            return await getattr(getattr(self.company, make)(person), rpc)(request)

        return self.attempt(calling())

    @initialize(discount=st.sampled_from([0.15, 0.25, 0.3]), yuan=st.sampled_from([100_000, 2_000_000]))
    def begin(self, discount: float, yuan: float) -> None:
        Office.number += 1
        self.subject_id = f"M-{self.number}"
        self.told = facts(discount, yuan)
        # Who is not what they were at the beginning of it.
        self.gone: set[str] = set()
        self.elsewhere: set[str] = set()
        # (absent, stands in, until), as the model believes.
        self.stand_ins: list[tuple[str, str, datetime]] = []
        self.run(self.company.ask(approval(quote(subject_id=self.subject_id), self.told)))
        self.finals: list[str] = []
        self.judged = self.judging()
        # Since when the matter is this one, and how many entries of its trail are older.
        self.begun, self.older = self.now, 0
        self.held = self.run(self.company.of_subject(self.subject_id))
        self.look()

    def look(self) -> None:
        before = state(self.held)
        self.held = self.run(self.company.read(self.held.id))
        if state(self.held) in FINAL and before not in FINAL:
            self.finals.append(state(self.held))

    @property
    def now(self) -> datetime:
        return self.company.live.now

    def may_decide(self, person: str) -> bool:
        """By name, or for somebody who is asked, by a delegation in force, and not as a second signature."""
        if person in PARTIES | self.gone or state(self.held) != "pending":
            return False
        if person in asked(self.held):
            return True
        absent = {a for a, to, until in self.stand_ins if to == person and until > self.now}
        for step in self.held.steps:
            waiting = [s for s in step.signers if s.state == requests_pb2.SIGNER_STATE_ASKED and s.person_id in absent]
            if waiting and not self.signed(person):
                return True
        return False

    def signed(self, person: str) -> bool:
        return any(
            s.state == requests_pb2.SIGNER_STATE_APPROVED and (s.signed_by or s.person_id) == person
            for step in self.held.steps
            for s in step.signers
        )

    @rule(
        person=st.sampled_from(PEOPLE),
        whoever=st.booleans(),
        verdict=st.sampled_from(["APPROVE", "APPROVE", "APPROVE", "REJECT", "RETURN"]),
    )
    def decide(self, person: str, whoever: bool, verdict: str) -> None:
        waiting = asked(self.held)
        if not whoever and waiting:
            person = waiting[PEOPLE.index(person) % len(waiting)]
        may, before = self.may_decide(person), self.held.etag
        outcome = self.attempt(self.company.decide(person, self.held, verdict))
        if outcome in ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT"):
            return  # a busy machine, or two steps that ask the same person: neither says who may
        assert (outcome == "") == may, f"{person} {verdict}: {outcome or 'heard'}, asked were {waiting}"
        assert outcome == "" or self.held.etag == before, "a refusal changes nothing"

    @rule(person=st.sampled_from(PEOPLE), verdict=st.sampled_from(["APPROVE", "REJECT"]))
    def decide_on_what_is_no_longer_so(self, person: str, verdict: str) -> None:
        outcome = self.attempt(self.company.decide(person, self.held, verdict, etag='"0"'))
        assert outcome

    @rule(person=st.sampled_from(PEOPLE), whom=st.sampled_from(PEOPLE), place=st.sampled_from([1, 2, 3]))
    def add_signer(self, person: str, whom: str, place: requests_pb2.SignerPlacement.ValueType) -> None:
        may = self.may_decide(person)
        call = requests_pb2.AddSignerRequest(
            request_id=rid(), id=self.held.id, etag=self.held.etag, person_id=whom, placement=place, reason="把关"
        )
        outcome = self.act("requests", person, "AddSigner", call)
        assert outcome or (may and whom not in PARTIES)

    @rule(person=st.sampled_from(PEOPLE), whom=st.sampled_from(PEOPLE))
    def hand_over(self, person: str, whom: str) -> None:
        may = self.may_decide(person) and not self.signed(whom)
        call = requests_pb2.HandOverRequest(
            request_id=rid(), id=self.held.id, etag=self.held.etag, to_person_id=whom, reason="出差"
        )
        outcome = self.act("requests", person, "HandOver", call)
        assert outcome or (may and whom not in PARTIES)

    @rule(person=st.sampled_from(PEOPLE), really=st.integers(0, 5))
    def recall(self, person: str, really: int) -> None:
        if person in PARTIES and really:
            return
        was_open = state(self.held) not in FINAL
        call = requests_pb2.RecallRequest(request_id=rid(), id=self.held.id, etag=self.held.etag, reason="撤回")
        outcome = self.act("requests", person, "Recall", call)
        assert (outcome == "") == (person in PARTIES and was_open)

    @rule(
        changes=st.booleans(), discount=st.sampled_from([0.05, 0.15, 0.25]), yuan=st.sampled_from([10_000, 2_000_000])
    )
    def the_quote_changes(self, changes: bool, discount: float, yuan: int) -> None:
        """The funnel tells the next version: it resubmits, or restarts, or, after the end, asks anew elsewhere."""
        if state(self.held) in FINAL:
            return
        if changes:
            self.told = facts(discount, yuan)
        was, before, older = state(self.held), self.judged, len(self.run(self.entries()))
        version = self.held.subject.version + 1
        self.run(self.company.ask(approval(quote(version, subject_id=self.subject_id), self.told)))
        self.look()
        self.judged = self.judging()
        if state(self.held) == "withdrawn":
            return  # nobody is there to sign it
        figures, people = (one == other for one, other in zip(self.judged, before, strict=True))
        if was == "returned" and figures and (people or self.held.elapsed.ToTimedelta()):
            return  # whether others now sign, the service knows
        self.begun, self.older = self.now, older
        if not (was == "returned" and figures):
            assert self.held.escalation_level == 0, "nobody was late for this one yet"
            due = self.company.live.process.calendars(self.now).add(
                self.now, timedelta(hours=Office.hours), "business", "team1"
            )
            assert state(self.held) != "pending" or self.held.due_time.ToDatetime(tzinfo=UTC) == due

    def judging(self) -> tuple[tuple[str, int], tuple[set[str], set[str]]]:
        """What decides the time a matter has: figures and rules, and for whose signatures."""
        return (str(self.told), Office.hours), (set(self.gone), set(self.elsewhere))

    @rule()
    def the_policies_change(self) -> None:
        """Refused while a role that they name is nobody's."""
        hours = 12 - Office.hours
        if not self.attempt(publish(self.company, decision={"hours": hours, "calendar": "business", "warn_at": 0.5})):
            Office.hours = hours

    @rule(really=st.integers(0, 9))
    def the_quote_is_withdrawn(self, really: int) -> None:
        if really:
            return
        taken = events_pb2.ApprovalWithdrawn(
            origin="funnel", kind="quote", subject_id=self.subject_id, version=self.held.subject.version, reason="丢单"
        )
        gone = state(self.held) in ("rejected", "recalled")
        self.run(self.company.live.hear(taken, self.subject_id, source="funnel"))
        self.look()
        assert gone or state(self.held) == "withdrawn"

    @rule(
        absent=st.sampled_from(["lead", "director", "fin1", "law"]),
        to=st.sampled_from(PEOPLE),
        hours=st.integers(1, 30),
    )
    def delegate(self, absent: str, to: str, hours: int) -> None:
        until = self.now + timedelta(hours=hours)
        call = delegations_pb2.CreateDelegationRequest(
            request_id=rid(), delegate_id=to, period={"start_time": self.now, "end_time": until}, reason="休假"
        )
        if not self.act("delegations", absent, "CreateDelegation", call):
            self.stand_ins.append((absent, to, until))

    @rule(person=st.sampled_from(["lead", "director", "fin1", "fin2", "law"]), leaves=st.booleans())
    def people_come_and_go(self, person: str, leaves: bool) -> None:
        """Somebody leaves the company, or goes to another department, or comes back."""
        if person in self.gone | self.elsewhere:
            self.becomes(person)
        else:
            self.becomes(person, active=not leaves, function="" if leaves else "sales")
        self.look()

    def becomes(self, person: str, active: bool = True, function: str = "") -> None:
        unit, roles = HOME[person]
        Office.versions += 1
        told = PersonChanged(person_id=person, unit_id=unit, name=person, active=active, version=Office.versions)
        told.function = function or dict(FUNCTIONS).get(person, "")
        told.roles.extend(roles)
        self.run(self.company.live.hear(told, person, source="targets"))
        for others, is_one in ((self.gone, not active), (self.elsewhere, bool(function))):
            (others.add if is_one else others.discard)(person)

    @rule(hours=st.sampled_from([0.5, 1, 3, 8, 24]))
    def time_passes(self, hours: float) -> None:
        self.run(self.company.live.advance(hours=hours))
        self.look()

    @invariant()
    def one_final_decision_at_most(self) -> None:
        decided = [told for told in self.finals if told in ("approved", "rejected", "recalled")]
        assert len(decided) <= 1
        assert (state(self.held) in FINAL) == bool(self.finals)

    @invariant()
    def nobody_is_asked_who_is_gone_or_for_a_department_he_is_not_of(self) -> None:
        left = {person for person, _ in FUNCTIONS if person not in self.gone | self.elsewhere}
        for step in self.held.steps:
            for signer in step.signers:
                if signer.state == requests_pb2.SIGNER_STATE_ASKED:
                    assert signer.person_id not in self.gone
                    department = signer.reason.removeprefix("role:")
                    others = {p for p, function in FUNCTIONS if function == department} & left
                    assert signer.person_id not in self.elsewhere or not signer.reason.startswith("role:") or not others

    @invariant()
    def two_signatures_of_a_step_are_two_peoples(self) -> None:
        for step in self.held.steps:
            approved = [s for s in step.signers if s.state == requests_pb2.SIGNER_STATE_APPROVED]
            signed = [s.signed_by or s.person_id for s in approved]
            assert len(signed) == len(set(signed))

    @invariant()
    def somebody_is_asked_exactly_while_it_is_pending(self) -> None:
        assert bool(asked(self.held)) == (state(self.held) == "pending")

    @invariant()
    def the_chain_verifies_and_the_clock_adds_up(self) -> None:
        assert self.run(self.company.breaks(self.held.id)) == []
        entries = self.run(self.entries())
        decided = [e for e in entries if e.action in (3, 4)]
        assert not {entry.actor_id for entry in decided} & PARTIES, "nobody decided their own matter"
        if state(self.held) != "pending":
            assert self.held.elapsed.ToTimedelta() == self.parts(entries)

    async def entries(self) -> list[requests_pb2.TrailEntry]:
        call = requests_pb2.ListTrailRequest(id=self.held.id, page_size=1000)
        return list((await self.company.requests("ops").ListTrail(call)).entries)

    def parts(self, entries: list[requests_pb2.TrailEntry]) -> timedelta:
        """Working time from each moment somebody was asked of this to the return, or the end, that followed."""
        total, since = timedelta(), self.begun if self.older else None
        for entry in entries[self.older :]:
            action = requests_pb2.TrailAction.Name(entry.action).removeprefix("TRAIL_ACTION_").lower()
            at = entry.time.ToDatetime(tzinfo=UTC)
            if action in RUNS and since is None:
                since = at
            # All returns of this model go to the submitter.
            if action == "returned" and since is not None:
                total, since = total + self.between(since, at), None
        closed = self.held.close_time.ToDatetime(tzinfo=UTC) if state(self.held) in FINAL else None
        if closed is not None and since is not None:
            total += self.between(since, closed)
        return total

    def between(self, start: datetime, end: datetime) -> timedelta:
        calendars = self.company.live.process.calendars(self.now)
        return calendars.between(start, end, "business", "team1")

    def teardown(self) -> None:
        """Delegations of one matter do not outlive it: the next begins when the last has ended, and all are back."""
        for person in self.gone | self.elsewhere:
            self.becomes(person)
        self.run(self.company.live.advance(hours=31))


@pytest.mark.mission("S63", "S64", "S65", "S66", "U8", "U9", "U10")
async def test_whatever_people_do_at_whatever_time(company: Company) -> None:
    Office.company, Office.loop, Office.number, Office.hours = company, asyncio.get_running_loop(), 0, 8
    few = settings(
        max_examples=10, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    await asyncio.to_thread(run_state_machine_as_test, Office, settings=few)
