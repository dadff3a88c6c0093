"""Where a matter stands on its way through the signatures: steps, slots and signers, as immutable values.

A step holds slots; a slot is one signature that any of its signers may give (anyone of finance; or the one asked and
whoever it escalated to). An added signer (加签) has a slot of its own that counts as part of the slot it was added to.
Without slots, because they are copied (`copies.replace`) more often than kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from closedloop_approvals.requests.copies import WORKED_OUT

State = Literal["pending", "returned", "approved", "rejected", "recalled", "withdrawn"]
SignerState = Literal["waiting", "asked", "approved", "rejected", "returned", "handed_over", "not_needed"]
Placement = Literal["before", "beside", "after"]

OPEN: frozenset[State] = frozenset({"pending", "returned"})


@dataclass(frozen=True)
class Signer:
    """One person's part in a slot. `waits_for` is the slot that comes first, `added_to` the one it was added to."""

    position: int
    person_id: str
    slot: int
    added_to: int = 0
    waits_for: int = 0
    state: SignerState = "waiting"
    reason: str = ""
    signed_by: str = ""
    asked_at: datetime | None = None
    answered_at: datetime | None = None
    comment: str = ""
    from_person_id: str = ""


@dataclass(frozen=True)
class Step:
    """One station. It is asked from `started_at` to `ended_at`."""

    number: int
    name: str
    mode: str
    quorum: int
    parallel_group: int
    signers: tuple[Signer, ...]
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def active(self) -> bool:
        return self.started_at is not None and self.ended_at is None

    @property
    def slots(self) -> list[int]:
        return list(dict.fromkeys(signer.slot for signer in self.signers))

    @property
    def roots(self) -> list[int]:
        return list(dict.fromkeys(signer.slot for signer in self.signers if not signer.added_to))

    def of(self, slot: int) -> list[Signer]:
        return [signer for signer in self.signers if signer.slot == slot]

    def asked(self) -> list[Signer]:
        return [signer for signer in self.signers if signer.state == "asked"] if self.active else []

    def signed(self, slot: int) -> bool:
        return any(signer.state == "approved" for signer in self.signers if signer.slot == slot)

    def complete(self, slot: int) -> bool:
        """Signed, by those added to it as well."""
        return self.signed(slot) and all(self.complete(added) for added in self._added(slot))

    def refused(self, slot: int) -> bool:
        own = any(signer.state == "rejected" for signer in self.of(slot))
        return own or any(self.refused(added) for added in self._added(slot))

    def _added(self, slot: int) -> list[int]:
        return list(dict.fromkeys(signer.slot for signer in self.signers if signer.added_to == slot))

    def turn_of(self, signer: Signer) -> bool:
        """Whether the slot it waits for has answered; what was added to that slot waits for its signature alone."""
        if not signer.waits_for:
            return True
        return (
            self.signed(signer.waits_for)
            if self._belongs(signer, signer.waits_for)
            else self.complete(signer.waits_for)
        )

    def _belongs(self, signer: Signer, slot: int) -> bool:
        parent = signer.added_to
        while parent and parent != slot:
            parent = self.of(parent)[0].added_to
        return parent == slot

    def satisfied(self) -> bool:
        signed = any(signer.state == "approved" for signer in self.signers)
        done = sum([self.complete(slot) for slot in self.roots]) if signed else 0
        needed = {"any": 1, "quorum": self.quorum}.get(self.mode, len(self.roots))
        return done >= needed

    def failed(self) -> bool:
        """One refusal fails a step; a quorum fails when it can no longer be reached."""
        if not any(signer.state == "rejected" for signer in self.signers):
            return self.mode == "quorum" and len(self.roots) < self.quorum
        refused = sum(self.refused(slot) for slot in self.roots)
        return len(self.roots) - refused < self.quorum if self.mode == "quorum" else refused > 0


@dataclass(frozen=True)
class Route:
    """Where a matter stands."""

    state: State
    steps: tuple[Step, ...]
    decided_step: int = 0

    def step(self, number: int) -> Step | None:
        return next((step for step in self.steps if step.number == number), None)

    def active(self) -> list[Step]:
        return [step for step in self.steps if step.active] if self.state == "pending" else []

    def asked(self) -> Sequence[tuple[int, Signer]]:
        """By step. Worked out once: a decision looks a dozen times, at two routes."""
        found: Sequence[tuple[int, Signer]] | None = self.__dict__.get(WORKED_OUT)
        if found is None:
            found = tuple([(step.number, signer) for step in self.active() for signer in step.asked()])
            self.__dict__[WORKED_OUT] = found
        return found


def sequence(mode: str, slots: list[list[tuple[str, str]]]) -> tuple[Signer, ...]:
    """Signers of a new step: `slots` of (person, reason); in a sequence each slot waits for the one before."""
    signers: list[Signer] = []
    for slot, people in enumerate(slots, 1):
        waits_for = slot - 1 if mode == "sequence" else 0
        for person_id, reason in people:
            signers.append(Signer(len(signers) + 1, person_id, slot, waits_for=waits_for, reason=reason))
    return tuple(signers)
