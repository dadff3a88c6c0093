"""Duplicates: records that may be one customer, merged and taken apart again."""

from __future__ import annotations

from typing import Annotated

import typer

from closedloop.customers.v1 import accounts_pb2, accounts_pb2_grpc, identity_pb2_grpc
from closedloop.customers.v1 import identity_pb2 as pb
from closedloop_chassis.ids import new_id
from closedloop_cli import shapes
from closedloop_cli.screen import Column
from closedloop_cli.session import Session, session

app = typer.Typer(no_args_is_help=True, help="Duplicates: the same customer written five ways is one customer.")


@app.command("list")
def list_(
    ctx: typer.Context,
    least: Annotated[float, typer.Option(min=0, max=1, help="probability from which a pair is shown")] = 0,
    limit: Annotated[int, typer.Option(min=0, help="0: all")] = 50,
) -> None:
    """Pairs that wait for a verdict, the likeliest first."""
    run = session(ctx)
    request = pb.ListDuplicatePairsRequest(minimum_probability_ratio=least)
    run.screen.records(_PAIRS, run.pages(_stub(run).ListDuplicatePairs, request, "pairs", limit))


@app.command()
def find(ctx: typer.Context, name: str, phone: str = "", domain: str = "") -> None:
    """Accounts that may be the company described."""
    run = session(ctx)
    profile = accounts_pb2.AccountProfile(
        name=name, phones=[phone] if phone else [], domains=[domain] if domain else []
    )
    found = run.call(_stub(run).FindDuplicates, pb.FindDuplicatesRequest(account=profile))
    run.screen.records(_MATCHES, found.matches)


@app.command()
def scan(ctx: typer.Context, kind: Annotated[str, typer.Argument(help="account, contact or lead")] = "account") -> None:
    """Compares all records of a kind with each other."""
    run = session(ctx)
    type_ = shapes.number(accounts_pb2.RecordType, kind, "KIND")
    request = pb.ScanDuplicatesRequest(request_id=new_id(), record_type=type_)
    found = run.call(_stub(run).ScanDuplicates, request)
    fields = [(name, str(getattr(found, name))) for name in ("records", "comparisons", "new_pairs", "open_pairs")]
    run.screen.record(found, fields)


@app.command()
def dismiss(ctx: typer.Context, pair_id: str, reason: Annotated[str, typer.Option(help="why they are two")]) -> None:
    """Says that a pair is two customers."""
    run = session(ctx)
    request = pb.DismissDuplicatePairRequest(request_id=new_id(), id=pair_id, reason=reason)
    _shown(run, [run.call(_stub(run).DismissDuplicatePair, request)])


@app.command()
def merge(
    ctx: typer.Context,
    survivor: str,
    absorbed: Annotated[list[str], typer.Argument(help="ids of accounts that become part of it")],
    reason: Annotated[str, typer.Option(help="why they are one")],
    owner: Annotated[str, typer.Option(help="who owns the result, where owners differ")] = "",
    override: Annotated[str, typer.Option(help="why differing registrations are one company")] = "",
    dry_run: Annotated[bool, typer.Option(help="show the merge as it would be")] = False,
) -> None:
    """Makes accounts one; what hangs on them follows."""
    run = session(ctx)
    accounts = run.stub("customers", accounts_pb2_grpc.AccountServiceStub)
    found = run.call(accounts.GetAccount, accounts_pb2.GetAccountRequest(id=survivor))
    request = pb.MergeRecordsRequest(
        request_id=new_id(),
        survivor=accounts_pb2.RecordReference(type=accounts_pb2.RECORD_TYPE_ACCOUNT, id=survivor),
        survivor_etag=found.etag,
        absorbed_ids=absorbed,
        owner_id=owner,
        reason=reason,
        override_reason=override,
        validate_only=dry_run,
    )
    _merged(run, run.call(_stub(run).MergeRecords, request))


@app.command()
def unmerge(ctx: typer.Context, merge_id: str, reason: Annotated[str, typer.Option(help="why they are two")]) -> None:
    """Takes a merge apart again."""
    run = session(ctx)
    request = pb.UnmergeRecordsRequest(request_id=new_id(), merge_id=merge_id, reason=reason)
    _merged(run, run.call(_stub(run).UnmergeRecords, request))


def _merged(run: Session, done: pb.Merge) -> None:
    moved = ", ".join(f"{kind} {count}" for kind, count in sorted(done.moved_references.items()))
    fields = [
        ("id", done.id),
        ("into", done.survivor.id),
        ("absorbed", ", ".join(done.absorbed_ids)),
        ("references", moved),
        ("fields", ", ".join(sorted(done.field_choices))),
        ("by", done.unmerged_by or done.merged_by),
    ]
    run.screen.record(done, fields)


def _shown(run: Session, pairs: list[pb.DuplicatePair]) -> None:
    run.screen.records(_PAIRS, pairs)


def _stub(run: Session) -> identity_pb2_grpc.IdentityServiceAsyncStub:
    return run.stub("customers", identity_pb2_grpc.IdentityServiceStub)


def _why(one: pb.DuplicatePair | pb.DuplicateMatch) -> str:
    return ", ".join(f"{reason.feature} {reason.weight:+.1f}" for reason in one.reasons)


_PAIRS = [
    Column("id", lambda pair: pair.id),
    Column("probability", lambda pair: shapes.ratio(pair.probability_ratio), right=True),
    Column("left", lambda pair: f"{pair.left_name} {pair.left.id}"),
    Column("right", lambda pair: f"{pair.right_name} {pair.right.id}"),
    Column("why", _why),
    Column("state", lambda pair: shapes.word(pb.DuplicatePairState, pair.state)),
]
_MATCHES = [
    Column("id", lambda match: match.record.id),
    Column("name", lambda match: match.name),
    Column("owner", lambda match: match.ownership.owner_id or f"({match.ownership.unit_id})"),
    Column("probability", lambda match: shapes.ratio(match.probability_ratio), right=True),
    Column("why", _why),
]
