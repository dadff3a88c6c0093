"""Carries out a plan: levels of the tree and declared fields, organisation, products, then the rules, whose people are
known by then.

What is done stays done when a later part is refused; the same command goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import grpc.aio

from closedloop.targets.v1 import org_pb2_grpc, products_pb2_grpc
from closedloop_chassis import client
from closedloop_cli.connection import SERVICES
from closedloop_cli.failures import Refused
from closedloop_cli.loading import arrival
from closedloop_cli.packs import company
from closedloop_cli.packs import plan as planning
from closedloop_cli.packs.plan import JUDGED_BY, Plan, Publication
from closedloop_cli.session import Session

# Replicas take a published rule, or a told person, within a second; a busy machine is given its time.
PATIENCE_SECONDS, PAUSE_SECONDS = 60.0, 0.25


def apply(run: Session, plan: Plan, reason: str, step: Callable[[int], None] = lambda _: None) -> None:
    """Fills `plan.problems` with what the services refuse."""
    first = [one for one in plan.books if one.book.name in JUDGED_BY.values()]
    for one in first:
        _publish(run, plan, one, reason, step)
    moved = _organisation(run, plan, step)
    if plan.problems:
        return
    moved = _products(run, plan, step) or moved
    if plan.problems:
        return
    if moved:
        for listener in SERVICES[1:]:
            arrival.wait(run, ("targets",), listener)
    for one in plan.books:
        if one not in first and not plan.problems:
            _publish(run, plan, one, reason, step)


def _organisation(run: Session, plan: Plan, step: Callable[[int], None]) -> bool:
    """Whether anything changed. A level just published may not have reached everybody; its rows are sent again."""
    if all(change.same for change in plan.organisation):
        step(len(plan.organisation))
        return False
    stub = run.stub("targets", org_pb2_grpc.OrgServiceStub)
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        summary = run.insist(stub.ImportOrg, planning.org_request(plan, dry=False))
        if not planning.awaited(plan.pack, summary) or time.monotonic() > give_up:
            break
        time.sleep(PAUSE_SECONDS)
    planning.refused(plan, planning.org_rows(plan), summary)
    step(len(plan.organisation))
    return True


def _products(run: Session, plan: Plan, step: Callable[[int], None]) -> bool:
    changed = any(not change.same for change in plan.products)
    if changed:
        stub = run.stub("targets", products_pb2_grpc.ProductServiceStub)
        summary = run.insist(stub.ImportProducts, planning.products_request(plan, dry=False))
        planning.refused(plan, planning.product_rows(plan), summary)
    step(len(plan.products))
    return changed


def _publish(run: Session, plan: Plan, one: Publication, reason: str, step: Callable[[int], None]) -> None:
    """Until it is in force, as whoever asks next must see it. Raises Refused where that takes longer than a minute."""
    step(1)
    if one.change.same:
        return
    stub = company.shelf(run, one.service)
    give_up = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            published = run.insist(stub.PublishRulebook, planning.publish_request(one, reason, dry=False))
            break
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                raise
            # The people it names may be on their way.
            if not client.info(error).metadata.get("misfit") or time.monotonic() > give_up:
                plan.blame(one.book, error)
                return
        time.sleep(PAUSE_SECONDS)
    while company.rulebook(run, one.service, one.book.name).version < published.version:
        if time.monotonic() > give_up:
            raise Refused("pack_not_taken", name=one.change.name, seconds=int(PATIENCE_SECONDS))
        time.sleep(PAUSE_SECONDS)
