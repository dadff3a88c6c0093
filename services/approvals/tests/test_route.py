"""The way through the signatures as a state machine: whatever people do, one decision, and only by those who may."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from closedloop_approvals.requests import rules
from closedloop_approvals.requests.route import Route, Signer, Step, sequence
from closedloop_chassis import errors

NOW = datetime(2026, 1, 5, tzinfo=UTC)
PEOPLE = [f"p{n}" for n in range(8)]
FINAL = ("approved", "rejected", "recalled", "withdrawn")


def step(number: int, mode: str, slots: list[list[str]], quorum: int = 0, group: int = 0) -> Step:
    signers = sequence(mode, [[(person, "") for person in slot] for slot in slots])
    return Step(number, f"step {number}", mode, quorum, group, signers)


def asked(route: Route) -> list[str]:
    return [signer.person_id for _, signer in route.asked()]


def test_any_is_decided_by_the_first() -> None:
    route = rules.start((step(1, "any", [["a"], ["b"]]),), NOW)
    assert asked(route) == ["a", "b"]
    assert rules.answer(route, 1, "b", "b", "approve", "", NOW).state == "approved"
    assert rules.answer(route, 1, "a", "a", "reject", "", NOW).state == "rejected"


def test_all_need_everyone_and_fall_with_one() -> None:
    route = rules.start((step(1, "all", [["a"], ["b"]]),), NOW)
    half = rules.answer(route, 1, "a", "a", "approve", "", NOW)
    assert (half.state, asked(half)) == ("pending", ["b"])
    assert rules.answer(half, 1, "b", "b", "approve", "", NOW).state == "approved"
    assert rules.answer(half, 1, "b", "b", "reject", "", NOW).state == "rejected"


def test_a_quorum_stands_and_falls_by_number() -> None:
    route = rules.start((step(1, "quorum", [["a"], ["b"], ["c"]], quorum=2),), NOW)
    one_against = rules.answer(route, 1, "a", "a", "reject", "", NOW)
    assert one_against.state == "pending"
    assert rules.answer(one_against, 1, "b", "b", "reject", "", NOW).state == "rejected"
    two_for = rules.answer(rules.answer(one_against, 1, "b", "b", "approve", "", NOW), 1, "c", "c", "approve", "", NOW)
    assert (two_for.state, two_for.decided_step) == ("approved", 1)


def test_a_sequence_asks_one_after_the_other_added_ones_included() -> None:
    route = rules.start((step(1, "sequence", [["a"], ["b"]]),), NOW)
    assert asked(route) == ["a"]
    signer = route.steps[0].signers[0]
    route = rules.add_signer(route, 1, signer, "x", "before", "", NOW)
    assert asked(route) == ["x"]
    route = rules.answer(route, 1, "x", "x", "approve", "", NOW)
    route = rules.add_signer(route, 1, route.steps[0].signers[0], "y", "after", "", NOW)
    assert asked(route) == ["a"]
    route = rules.answer(route, 1, "a", "a", "approve", "", NOW)
    assert asked(route) == ["y"], "the second of the sequence waits for the one added after the first"
    route = rules.answer(route, 1, "y", "y", "approve", "", NOW)
    assert asked(route) == ["b"]


def test_one_added_to_an_added_one_deadlocks_nobody() -> None:
    route = rules.start((step(1, "single", [["a"]]),), NOW)
    route = rules.add_signer(route, 1, route.steps[0].signers[0], "x", "after", "", NOW)
    route = rules.answer(route, 1, "a", "a", "approve", "", NOW)
    added = route.steps[0].signers[1]
    route = rules.add_signer(route, 1, added, "y", "before", "", NOW)
    assert asked(route) == ["y"]
    route = rules.answer(route, 1, "y", "y", "approve", "", NOW)
    assert asked(route) == ["x"]
    assert rules.answer(route, 1, "x", "x", "approve", "", NOW).state == "approved"


def test_groups_run_side_by_side() -> None:
    route = rules.start(
        (step(1, "single", [["a"]], group=1), step(2, "single", [["b"]], group=1), step(3, "single", [["c"]])), NOW
    )
    assert asked(route) == ["a", "b"]
    route = rules.answer(route, 2, "b", "b", "approve", "", NOW)
    assert asked(route) == ["a"]
    route = rules.answer(route, 1, "a", "a", "approve", "", NOW)
    assert asked(route) == ["c"]
    assert rules.answer(route, 3, "c", "c", "reject", "", NOW).decided_step == 3


def _apart(slots: list[list[str]]) -> list[list[str]]:
    """The slots without whoever stands in an earlier one; an empty one is somebody else's."""
    seen: set[str] = set()
    apart: list[list[str]] = []
    for place, slot in enumerate(slots):
        apart.append([person for person in slot if person not in seen] or [f"other{place}"])
        seen.update(slot)
    return apart


class Anything(RuleBasedStateMachine):
    """People, the clock and the submitter do whatever they may, in any order."""

    @initialize(
        shape=st.lists(
            st.tuples(
                st.sampled_from(["single", "any", "all", "quorum", "sequence"]),
                st.lists(
                    st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=2, unique=True), min_size=1, max_size=3
                ),
                st.integers(0, 1),
            ),
            min_size=1,
            max_size=4,
        )
    )
    def begin(self, shape: list[tuple[str, list[list[str]], int]]) -> None:
        self.now = NOW
        # As the policies plan them: nobody has two seats of one step.
        shape = [(mode, _apart(slots), group) for mode, slots, group in shape]
        steps = [
            step(
                n,
                mode,
                slots[:1] if mode == "single" else slots,
                quorum=len(slots) if mode == "quorum" else 0,
                group=group,
            )
            for n, (mode, slots, group) in enumerate(shape, 1)
        ]
        self.route = rules.start(tuple(steps), self.now)
        self.finals: list[str] = []

    def become(self, route: Route) -> None:
        self.now += timedelta(minutes=1)
        if self.route.state not in FINAL and route.state in FINAL:
            self.finals.append(route.state)
        self.route = route

    def pick(self, number: int) -> tuple[int, Signer]:
        waiting = self.route.asked()
        return waiting[number % len(waiting)]

    @precondition(lambda self: self.route.state == "pending")
    @rule(number=st.integers(0, 50), verdict=st.sampled_from(["approve", "approve", "approve", "reject"]))
    def answer(self, number: int, verdict: str) -> None:
        at, signer = self.pick(number)
        self.become(rules.answer(self.route, at, signer.person_id, signer.person_id, verdict, "", self.now))

    @precondition(lambda self: self.route.state == "pending")
    @rule(number=st.integers(0, 50), back=st.booleans(), far=st.booleans())
    def send_back(self, number: int, back: bool, far: bool) -> None:
        at, signer = self.pick(number)
        ended = [s.number for s in self.route.steps if s.number < at and s.ended_at]
        target = ended[0 if far else -1] if ended and far != back else 0
        self.become(rules.send_back(self.route, at, signer.person_id, signer.person_id, target, back, "?", self.now))

    @precondition(lambda self: self.route.state == "returned")
    @rule()
    def mend(self) -> None:
        self.become(rules.resume(self.route, self.now))

    @precondition(lambda self: self.route.state == "pending")
    @rule(number=st.integers(0, 50), who=st.integers(0, 30), where=st.sampled_from(["before", "beside", "after"]))
    def add(self, number: int, who: int, where: str) -> None:
        at, signer = self.pick(number)
        try:
            self.become(rules.add_signer(self.route, at, signer, f"x{who}", where, "", self.now))
        except errors.AlreadyExists:
            assert f"x{who}" in {s.person_id for s in self.route.steps[at - 1].signers}

    @precondition(lambda self: self.route.state == "pending")
    @rule(number=st.integers(0, 50), who=st.integers(0, 30))
    def hand_over(self, number: int, who: int) -> None:
        at, signer = self.pick(number)
        try:
            route = rules.hand_over(self.route, at, signer.person_id, f"h{who}", "", self.now)
        except errors.AlreadyExists:
            return
        assert signer.person_id not in {s.person_id for s in route.steps[at - 1].asked()}
        self.become(route)

    @precondition(lambda self: self.route.state == "pending")
    @rule()
    def escalate(self) -> None:
        before = set(asked(self.route))
        route, raised = rules.escalate(
            self.route, lambda person, taken: f"{person}^" if len(person) < 6 else "", self.now
        )
        assert before <= set(asked(route)), "an escalation takes nobody's right"
        assert {to for _, _, to in raised} <= set(asked(route))
        self.become(route)

    @precondition(lambda self: self.route.state == "pending")
    @rule(number=st.integers(0, 50), alone=st.booleans())
    def leave(self, number: int, alone: bool) -> None:
        _, signer = self.pick(number)
        gone = signer.person_id

        def above(_: Signer, taken: Collection[str]) -> list[str]:
            return [] if alone else [next(f"{gone}+{n}" for n in range(99) if f"{gone}+{n}" not in taken)]

        found = rules.succeed(self.route, gone, lambda _: True, above, self.now, "has left")
        waiting = {at for at, signer in found.route.asked() if signer.person_id == gone}
        assert waiting <= set(found.vacant), "nobody waits for somebody who is gone, where there is anybody else"
        self.become(found.route)

    @precondition(lambda self: self.route.state in ("pending", "returned"))
    @rule(chance=st.integers(0, 9))
    def recall(self, chance: int) -> None:
        if chance == 0:
            self.become(rules.close(self.route, "recalled", self.now))

    @precondition(lambda self: self.route.state in FINAL)
    @rule(person=st.sampled_from(PEOPLE))
    def too_late(self, person: str) -> None:
        assert rules.rows_of(self.route, {person}) == {}

    @invariant()
    def somebody_is_asked_exactly_while_it_is_pending(self) -> None:
        assert bool(self.route.asked()) == (self.route.state == "pending")

    @invariant()
    def one_final_decision_at_most(self) -> None:
        assert len(self.finals) == (self.route.state in FINAL)

    @invariant()
    def approved_means_every_step_was_signed_as_its_mode_demands(self) -> None:
        if self.route.state == "approved":
            assert all(s.ended_at and s.satisfied() and not s.failed() for s in self.route.steps)

    @invariant()
    def two_signatures_of_a_step_are_two_peoples(self) -> None:
        for held in self.route.steps:
            signed = [s.signed_by or s.person_id for s in held.signers if s.state == "approved"]
            assert len(signed) == len(set(signed))

    @invariant()
    def groups_come_in_order(self) -> None:
        active = {s.parallel_group or -s.number for s in self.route.active()}
        assert len(active) <= 1, "steps of two groups never run at the same time"


Anything.TestCase.settings = settings(max_examples=120, stateful_step_count=25, deadline=None)
TestAnything = Anything.TestCase


def test_a_reset_step_keeps_who_handed_over() -> None:
    route = rules.start((step(1, "all", [["a"], ["b"]]),), NOW)
    route = rules.hand_over(route, 1, "a", "c", "", NOW)
    route = rules.answer(route, 1, "c", "c", "approve", "", NOW)
    route = rules.resume(rules.send_back(route, 1, "b", "b", 0, False, "?", NOW), NOW)
    assert asked(route) == ["b", "c"]
    assert rules.same_way(route, (replace(step(1, "all", [["a"], ["b"]])),))


def test_an_escalation_asks_another_for_each_signature_of_a_step() -> None:
    """Above both stands one chief; he is asked for one of the two, his own chief for the other."""
    chiefs = {"a": ["x", "y"], "b": ["x", "y"], "x": ["y"], "y": []}

    def above(person: str, taken: Collection[str]) -> str:
        return next((chief for chief in chiefs[person] if chief not in taken), "")

    route = rules.start((step(1, "quorum", [["a"], ["b"]], quorum=2),), NOW)
    route, raised = rules.escalate(route, above, NOW)
    assert raised == [(1, "a", "x"), (1, "b", "y")]
    route = rules.answer(route, 1, "x", "x", "approve", "", NOW)
    assert (route.state, asked(route)) == ("pending", ["b", "y"]), "one chief is one signature"
    route, raised = rules.escalate(route, above, NOW)
    assert raised == []


def test_who_signed_for_another_takes_no_second_signature_of_the_step() -> None:
    route = rules.start((step(1, "all", [["a"], ["b"]]),), NOW)
    route = rules.answer(route, 1, "a", "x", "approve", "", NOW)
    with pytest.raises(errors.AlreadyExists):
        rules.hand_over(route, 1, "b", "x", "", NOW)
    route, raised = rules.escalate(route, lambda _, taken: next((p for p in ("x", "y") if p not in taken), ""), NOW)
    assert raised == [(1, "b", "y")]


def test_a_place_is_taken_by_others_or_kept_where_there_is_nobody() -> None:
    route = rules.start((step(1, "all", [["a", "b"], ["c"]]), step(2, "single", [["a"]])), NOW)
    found = rules.succeed(route, "a", lambda _: True, lambda _, taken: (), NOW, "gone")
    assert asked(found.route) == ["b", "c"], "a colleague is asked for the same signature"
    assert (found.followers, found.vacant) == ({1: ()}, (2,))
    found = rules.succeed(route, "c", lambda _: True, lambda _, taken: [p for p in ("b", "z") if p not in taken], NOW)
    assert (asked(found.route), found.vacant) == (["a", "b", "z"], ())
