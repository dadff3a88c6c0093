"""The way of a matter through its signatures: a state machine over `route`'s values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from closedloop_approvals.requests.copies import replace
from closedloop_approvals.requests.route import Placement, Route, Signer, SignerState, Step
from closedloop_chassis import errors

# Whose signature is, or will be, asked for.
WANTED: frozenset[SignerState] = frozenset({"asked", "waiting", "returned"})


def start(steps: tuple[Step, ...], now: datetime) -> Route:
    """A new route under way; without steps it is approved at once."""
    return _advance(Route("pending", steps), now)


def same_way(one: Route, other: tuple[Step, ...]) -> bool:
    """Whether the policies ask for the same signatures, whoever was added or escalated to meanwhile."""

    def way(steps: tuple[Step, ...]) -> list[tuple[object, ...]]:
        return [
            (s.name, s.mode, s.quorum, [g.person_id for g in s.signers if not g.added_to and not g.from_person_id])
            for s in steps
        ]

    return way(one.steps) == way(other)


def rows_of(route: Route, people: Collection[str], step: int = 0) -> dict[int, list[Signer]]:
    """By active step, the signatures that are asked of any of these people."""
    found: dict[int, list[Signer]] = {}
    for number, signer in route.asked():
        if signer.person_id in people and step in (0, number):
            found.setdefault(number, []).append(signer)
    return found


def answer(
    route: Route,
    step: int,
    signer_for: str,
    signed_by: str,
    verdict: Literal["approve", "reject"],
    comment: str,
    now: datetime,
) -> Route:
    """Everything asked of `signer_for` on this step is answered by `signed_by`."""
    state: SignerState = "approved" if verdict == "approve" else "rejected"

    def sign(signer: Signer) -> Signer:
        if signer.state != "asked" or signer.person_id != signer_for:
            return signer
        stood_in = signed_by if signed_by != signer_for else ""
        return replace(signer, state=state, signed_by=stood_in, answered_at=now, comment=comment)

    return _advance(_with(route, step, lambda held: _closing_slots(_mapped(held, sign))), now)


def send_back(
    route: Route,
    step: int,
    signer_for: str,
    signed_by: str,
    to_step: int,
    come_back_here: bool,
    comment: str,
    now: datetime,
) -> Route:
    """Returned by a signer of `step`: to the submitter (0), who mends it, or to an earlier step, which is asked again.

    With `come_back_here` the steps between keep their signatures. Raises InvalidArgument RETURN_TARGET_INVALID.
    """
    target = route.step(to_step)
    if to_step and (target is None or to_step >= step or target.ended_at is None):
        raise errors.InvalidArgument(
            "RETURN_TARGET_INVALID",
            f"step {to_step} has not been signed before step {step}",
            {"return_to_step": "no earlier step"},
        )
    again = {step, to_step} if come_back_here else {held.number for held in route.steps if held.number >= to_step}
    # What runs beside a step that is asked again starts with it.
    groups = {held.parallel_group for held in route.steps if held.number == step and held.parallel_group}
    again |= {held.number for held in route.steps if held.parallel_group in groups}

    def hand_back(signer: Signer) -> Signer:
        if signer.state != "asked" or signer.person_id != signer_for:
            return replace(signer, state="waiting") if signer.state == "asked" else signer
        stood_in = signed_by if signed_by != signer_for else ""
        return replace(signer, state="returned", signed_by=stood_in, answered_at=now, comment=comment)

    steps = tuple(
        _reset(held, hand_back if held.number == step else None) if held.number in again else held
        for held in route.steps
    )
    back = replace(route, steps=steps)
    return _advance(back, now) if to_step else replace(back, state="returned")


def resume(route: Route, now: datetime) -> Route:
    """The submitter has mended it: on from the first step that has no complete signature."""
    return _advance(replace(route, state="pending"), now)


def close(route: Route, state: Literal["recalled", "withdrawn", "rejected"], now: datetime) -> Route:
    """Nobody is asked any more."""
    return _ended(replace(route, state=state), now)


def add_signer(
    route: Route, step: int, asker: Signer, person_id: str, placement: Placement, reason: str, now: datetime
) -> Route:
    """One more signature before, beside or after the asker's own. Raises AlreadyExists ALREADY_A_SIGNER."""
    held = _free_for(route, step, person_id)
    slot = max(held.slots) + 1
    added = Signer(
        len(held.signers) + 1, person_id, slot, added_to=asker.slot, reason=reason, from_person_id=asker.person_id
    )

    def place(signer: Signer) -> Signer:
        if placement == "before" and signer.slot == asker.slot:
            state: SignerState = "waiting" if signer.state == "asked" else signer.state
            return replace(signer, waits_for=slot, state=state)
        return signer

    added = replace(added, waits_for=asker.slot if placement == "after" else asker.waits_for)
    return _advance(_with(route, step, lambda s: replace(s, signers=(*_mapped(s, place).signers, added))), now)


def hand_over(route: Route, step: int, giver: str, person_id: str, reason: str, now: datetime) -> Route:
    """The giver's signatures on this step become another person's (转审). Raises AlreadyExists ALREADY_A_SIGNER."""
    held = _free_for(route, step, person_id)
    given = [signer for signer in held.asked() if signer.person_id == giver]
    taken = tuple(
        replace(
            signer,
            position=len(held.signers) + n,
            person_id=person_id,
            reason=reason,
            from_person_id=giver,
            asked_at=now,
        )
        for n, signer in enumerate(given, 1)
    )

    def give(signer: Signer) -> Signer:
        return replace(signer, state="handed_over", answered_at=now, comment=reason) if signer in given else signer

    return _with(route, step, lambda s: replace(s, signers=(*_mapped(s, give).signers, *taken)))


@dataclass(frozen=True, slots=True)
class Succession:
    """Who took somebody's place on which step, and where nobody could: there the seat is kept as it was."""

    route: Route
    followers: dict[int, tuple[str, ...]]
    vacant: tuple[int, ...]


def succeed(
    route: Route,
    gone: str,
    gives_up: Callable[[Signer], bool],
    instead: Callable[[Signer, Collection[str]], Sequence[str]],
    now: datetime,
    reason: str = "",
) -> Succession:
    """Others sign in the place of somebody who may no longer, on this step and on those to come.

    `instead(signer, taken)` are those who could, none of them in `taken`; none where there is nobody. A signature that
    colleagues are asked for as well needs nobody new. Without a `reason` they are asked for the same one.
    """
    followers: dict[int, tuple[str, ...]] = {}
    vacant: list[int] = []

    def follow(held: Step) -> Step:
        if held.ended_at is not None:
            return held
        signers = held.signers
        for signer in signers:
            if signer.person_id != gone or signer.state not in WANTED or not gives_up(signer):
                continue
            colleagues = [s for s in signers if s.slot == signer.slot and s.state in WANTED and s.person_id != gone]
            taking = [] if colleagues else instead(signer, _people(s for s in signers if s.state != "handed_over"))
            if not taking and not colleagues:
                vacant.append(held.number)
                continue
            followers[held.number] = (*followers.get(held.number, ()), *taking)
            asked = signer.state == "asked"
            new = tuple(
                replace(
                    signer,
                    position=len(signers) + n,
                    person_id=to,
                    reason=reason or signer.reason,
                    from_person_id=gone,
                    state="asked" if asked else "waiting",
                    asked_at=now if asked else None,
                    answered_at=None,
                    comment="",
                )
                for n, to in enumerate(taking, 1)
            )
            left = replace(signer, state="handed_over", answered_at=now)
            signers = (*(left if s is signer else s for s in signers), *new)
        return held if signers is held.signers else replace(held, signers=signers)

    steps = tuple(follow(held) for held in route.steps)
    return Succession(replace(route, steps=steps), followers, tuple(vacant))


def escalate(
    route: Route, above: Callable[[str, Collection[str]], str], now: datetime
) -> tuple[Route, list[tuple[int, str, str]]]:
    """The next level of the line is asked as well, for every signature still missing (S65).

    `above(person, taken)` is who stands over them. Answers the (step, from, to) of each; none at the top of the line.
    """
    raised: list[tuple[int, str, str]] = []

    def ask_above(held: Step) -> Step:
        signers = list(held.signers)
        for slot in dict.fromkeys(signer.slot for signer in held.asked()):
            last = [signer for signer in signers if signer.slot == slot and signer.state == "asked"][-1]
            # Whoever stands above two of them is asked for one: two signatures of a step are two people's.
            taken = _people(signers)
            to = above(last.person_id, taken)
            if to:
                reason = f"escalated from {last.person_id}"
                signers.append(
                    replace(
                        last,
                        position=len(signers) + 1,
                        person_id=to,
                        reason=reason,
                        from_person_id=last.person_id,
                        asked_at=now,
                    )
                )
                raised.append((held.number, last.person_id, to))
        return replace(held, signers=tuple(signers))

    steps = tuple(ask_above(held) if held.active else held for held in route.steps)
    return replace(route, steps=steps), raised


def _people(signers: Iterable[Signer]) -> set[str]:
    """Who has a signature of this step, or gave one for another."""
    return {person for signer in signers for person in (signer.person_id, signer.signed_by)} - {""}


def newly_asked(before: Route | None, after: Route) -> list[tuple[int, Signer]]:
    """Who is asked now and was not before."""
    known = {(step, signer.position, signer.asked_at) for step, signer in (before.asked() if before else ())}
    return [(step, s) for step, s in after.asked() if (step, s.position, s.asked_at) not in known]


def _advance(route: Route, now: datetime) -> Route:
    """Ends what is settled, asks whose turn it is, goes on to the next group, until nothing moves."""
    while route.state == "pending":
        if failed := [step for step in route.steps if step.active and step.failed()]:
            return _ended(replace(route, state="rejected", decided_step=failed[0].number), now)
        steps = tuple(_ended_step(step, now) if step.active and step.satisfied() else step for step in route.steps)
        group = next(_groups_to_do(steps), None)
        if group is None:
            last = max((s for s in steps if s.ended_at), key=lambda s: (s.ended_at == now, s.number), default=None)
            return replace(route, state="approved", steps=steps, decided_step=last.number if last else 0)
        steps = tuple([_asking(step, now) if step.number in group else step for step in steps])
        route = replace(route, steps=steps)
        # Who is asked a second time in the same instant is asked nothing new: only what is settled already goes on.
        if not any(step.active and (step.failed() or step.satisfied()) for step in steps):
            return route
    return route


def _groups_to_do(steps: tuple[Step, ...]) -> Iterator[set[int]]:
    """The steps that run side by side, of the groups with something left to do, in order."""
    group: list[Step] = []
    for step in steps:
        if group and not (step.parallel_group and step.parallel_group == group[-1].parallel_group):
            if any(s.ended_at is None for s in group):
                yield {s.number for s in group if s.ended_at is None}
            group = []
        group.append(step)
    if any(s.ended_at is None for s in group):
        yield {s.number for s in group if s.ended_at is None}


def _asking(step: Step, now: datetime) -> Step:
    """Started if it was not; whoever's turn it is, is asked."""

    def ask(signer: Signer) -> Signer:
        ready = signer.state in ("waiting", "returned") and not step.signed(signer.slot) and step.turn_of(signer)
        return (
            replace(signer, state="asked", asked_at=now, answered_at=None, signed_by="", comment="")
            if ready
            else signer
        )

    asked = _mapped(step, ask)
    return asked if asked.started_at else replace(asked, started_at=now)


def _closing_slots(step: Step) -> Step:
    """Where one has signed or refused for a slot, the others of that slot are not needed."""
    settled = {signer.slot for signer in step.signers if signer.state in ("approved", "rejected")}

    def leave(signer: Signer) -> Signer:
        return (
            replace(signer, state="not_needed")
            if signer.slot in settled and signer.state in ("asked", "waiting")
            else signer
        )

    return _mapped(step, leave)


def _ended_step(step: Step, now: datetime) -> Step:
    def leave(signer: Signer) -> Signer:
        return replace(signer, state="not_needed") if signer.state in ("asked", "waiting", "returned") else signer

    return replace(_mapped(step, leave), ended_at=now)


def _ended(route: Route, now: datetime) -> Route:
    """Steps that never began keep no beginning and no end."""
    ended = (replace(_ended_step(s, now), ended_at=s.ended_at or (now if s.started_at else None)) for s in route.steps)
    return replace(route, steps=tuple(ended))


def _reset(step: Step, first: Callable[[Signer], Signer] | None) -> Step:
    """To be asked from the beginning; who returned it is shown until then, who handed over stays so."""

    def again(signer: Signer) -> Signer:
        if first is not None:
            signer = first(signer)
        if signer.state in ("returned", "handed_over"):
            return signer
        return replace(signer, state="waiting", signed_by="", answered_at=None, comment="")

    return replace(_mapped(step, again), started_at=None, ended_at=None)


def _free_for(route: Route, step: int, person_id: str) -> Step:
    held = route.step(step)
    assert held is not None
    signs = any(
        s.person_id == person_id and s.state in ("waiting", "asked", "approved", "returned") for s in held.signers
    )
    if signs or any(s.signed_by == person_id and s.state == "approved" for s in held.signers):
        raise errors.AlreadyExists("ALREADY_A_SIGNER", f"{person_id} signs on step {step} already")
    return held


def _mapped(step: Step, change: Callable[[Signer], Signer]) -> Step:
    """The step itself where nothing changes."""
    signers = tuple([change(signer) for signer in step.signers])
    if all(one is other for one, other in zip(signers, step.signers, strict=True)):
        return step
    return replace(step, signers=signers)


def _with(route: Route, number: int, change: Callable[[Step], Step]) -> Route:
    return replace(route, steps=tuple(change(step) if step.number == number else step for step in route.steps))
