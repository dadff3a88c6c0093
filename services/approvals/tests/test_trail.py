"""The trail: whatever is touched behind our back is found and named."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import errors as pg

from closedloop.approvals.v1 import requests_pb2
from closedloop_approvals.requests import reading, store, trail
from closedloop_approvals.requests.reading import FIRST_ID
from closedloop_approvals.requests.trail import Entry, Sealed

from .conftest import ACCOUNT, Company, approval, facts, quote, rid

NOW = datetime(2026, 1, 5, tzinfo=UTC)
CONTENT = "c" * 64


def chain(length: int) -> list[Sealed]:
    entries = [Entry("opened", "rep", content_hash=CONTENT)] + [
        Entry("commented", "x", comment=str(n)) for n in range(length - 1)
    ]
    return trail.seal("r", 0, trail.FIRST, NOW, 1, entries)


def kinds(
    links: list[Sealed], length: int, last: str, state: str = "pending", content: str = CONTENT
) -> list[tuple[str, int]]:
    now = trail.Now(state, content, "t" * 64, "s" * 64)
    return [(b.kind, b.sequence) for b in trail.verify("r", links, length, last, now)]


@given(st.integers(1, 6), st.data())
def test_every_sort_of_tampering_is_named(length: int, data: st.DataObject) -> None:
    links = chain(length)
    last = links[-1].hash
    assert kinds(links, length, last) == []
    place = data.draw(st.integers(0, length - 1))
    victim = links[place]
    changed = victim.content.replace('"actor_id":"', '"actor_id":"not ')
    rewritten = [
        *links[:place],
        Sealed("r", place + 1, changed, victim.previous_hash, victim.hash),
        *links[place + 1 :],
    ]
    assert kinds(rewritten, length, last) == [("changed", place + 1)]
    rehashed = Sealed("r", place + 1, changed, victim.previous_hash, trail.link(victim.previous_hash, changed))
    named = place + 2 if place < length - 1 else length
    assert kinds([*links[:place], rehashed, *links[place + 1 :]], length, last) == [("changed", named)]
    removed = [*links[:place], *links[place + 1 :]]
    assert kinds(removed, length, last) == (
        [("truncated", length)] if place == length - 1 else [("missing", place + 1)]
    )
    more = trail.seal("r", length, last, NOW, 1, [Entry("approved", "intruder")])
    assert kinds([*links, *more], length, last) == [("inserted", length + 1)]


def test_entries_in_another_order_are_named() -> None:
    links = chain(4)
    one, two = links[1], links[2]
    swapped = [links[0], replace(two, sequence=2), replace(one, sequence=3), links[3]]
    assert [sequence for _, sequence in kinds(swapped, 4, links[-1].hash)] == [2, 2, 3, 3, 4]


def test_a_state_or_a_content_that_contradicts_the_trail_is_named() -> None:
    links = chain(2)
    assert kinds(links, 2, links[-1].hash, state="rejected") == [("state_differs", 1)]
    assert kinds(links, 2, links[-1].hash, content="d" * 64) == [("state_differs", 1)]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda c: st.lists(c) | st.dictionaries(st.text(), c),
        max_leaves=10,
    )
)
def test_equal_values_have_one_text(value: object) -> None:
    assert trail.canonical(value) == trail.canonical(json.loads(json.dumps(value)))


@pytest.mark.mission("S66")
async def test_rows_touched_in_the_database_are_found(company: Company) -> None:
    first = await company.ask(approval(quote(subject_id="Q-1"), facts(0.15)))
    second = await company.ask(approval(quote(subject_id="Q-2"), facts(0.15)))
    await company.decide("lead", first)
    await company.decide("lead", second, "REJECT")
    assert await company.breaks(first.id, second.id) == []
    db = company.live.process.database

    async def behind_our_back(*statements: str) -> None:
        tx = db.transaction()
        for statement in statements:
            tx.do(statement, {"id": second.id})
        await tx.commit()

    with pytest.raises(pg.RaiseException, match="never changed"):
        await behind_our_back("UPDATE approval_trail SET content = replace(content, 'rejected', 'approved')")
    with pytest.raises(pg.RaiseException, match="never changed"):
        await behind_our_back("DELETE FROM approval_trail")
    with pytest.raises(pg.RaiseException, match="never changed"):
        await behind_our_back("TRUNCATE approval_trail")
    with pytest.raises(pg.RaiseException, match="never deleted"):
        await behind_our_back("DELETE FROM approval_request WHERE id = %(id)s")
    await behind_our_back("UPDATE approval_request SET state = 'approved' WHERE id = %(id)s")
    assert await company.breaks(first.id, second.id) == ["state_differs:3"]
    await behind_our_back("UPDATE approval_request SET state = 'rejected', digest = '' WHERE id = %(id)s")
    assert await company.breaks(first.id, second.id) == ["state_differs:1"]
    owner = ("ALTER TABLE approval_trail DISABLE TRIGGER USER",)
    lie = """UPDATE approval_trail SET content = replace(content, 'rejected', 'approved')
              WHERE request_id = %(id)s AND sequence = 3"""
    await behind_our_back(*owner, lie)
    period = requests_pb2.VerifyTrailRequest()
    period.opened.start_time.FromDatetime(company.live.now.replace(tzinfo=None))
    found = await company.requests("ops").VerifyTrail(period)
    assert (found.requests_checked, found.entries_checked) == (2, 6)
    assert [(b.request_id, b.sequence, b.kind) for b in found.breaks] == [(second.id, 3, "changed")]
    await behind_our_back("DELETE FROM approval_trail WHERE request_id = %(id)s AND sequence = 2")
    assert await company.breaks(second.id) == ["missing:2", "changed:3"]
    with company.live.refused("PERMISSION_DENIED"):
        await company.requests("rep").VerifyTrail(requests_pb2.VerifyTrailRequest(ids=[first.id]))
    with company.live.refused("INVALID_ARGUMENT", "NOTHING_NAMED"):
        await company.requests("ops").VerifyTrail(requests_pb2.VerifyTrailRequest())


# What each table says of a request; ids are what joins them, and the trail's own columns are tried above.
LEFT_OUT = {
    "approval_request": {"id", "trail_length", "trail_hash"},
    "approval_step": {"request_id"},
    "approval_signer": {"request_id"},
}
COLUMNS = """
SELECT table_name, column_name, data_type FROM information_schema.columns
 WHERE table_schema = current_schema() AND table_name = ANY(%(tables)s) ORDER BY table_name, ordinal_position
"""
OTHER = {
    "boolean": "NOT {0}",
    "jsonb": """'{{"x": 1}}'""",
    "uuid": "'0190a000-0000-7000-8000-0000000000ff'",
    "ARRAY": "{0} || {0} || ARRAY[r.id]::text[]",
    "interval": "{0} + interval '1 microsecond'",
    "timestamp with time zone": "coalesce({0}, '2026-01-01Z') + interval '1 microsecond'",
    "text": "{0} || ' '",
    "double precision": "coalesce({0}, 0) + 0.001",
}


@pytest.mark.mission("S66")
async def test_no_column_of_a_request_can_be_changed_unseen(company: Company) -> None:
    """Every column of every table, one by one: what the signer's condition was, who was asked, when, and who decided."""
    held = await company.ask(approval(told=facts(0.25, account_id=ACCOUNT.upper())))
    held = await company.decide("lead", held, conditions="预付三成", comment="同意")
    note = requests_pb2.CommentRequest(request_id=rid(), id=held.id, text="看过了", mentioned_ids=["peer"])
    await company.requests("lead").Comment(note)
    assert await company.breaks(held.id) == []
    chain = {"ids": [held.id], "after": FIRST_ID, "opened_from": None, "opened_to": None, "limit": 2}
    unseen: list[str] = []
    for column in await company.live.db.all(COLUMNS, {"tables": list(LEFT_OUT)}):
        table, name, kind = column["table_name"], column["column_name"], column["data_type"]
        if name in LEFT_OUT[table]:
            continue
        other = OTHER.get(kind, "coalesce({0}, 0) + 7").format(f"t.{name}")
        if name == "accumulated_ids":
            other = "ARRAY[r.id]"
        if name == "state":
            other = "CASE t.state WHEN 'pending' THEN 'rejected' ELSE 'pending' END"
        row = "t.id = r.id" if table == "approval_request" else "t.request_id = r.id"
        tx = company.live.process.database.transaction()
        which = {"approval_step": " AND t.number = 1", "approval_signer": " AND t.step = 1"}.get(table, "")
        tx.do(
            f"UPDATE {table} t SET {name} = {other} FROM approval_request r WHERE {row} AND r.id = %(id)s{which}",
            {"id": held.id},
        )
        requests, trails = await store.chains(tx, chain)
        if not reading.broken(requests[0], trails[held.id]):
            unseen.append(f"{table}.{name}")
        await tx.rollback()
    assert unseen == []


@pytest.mark.mission("S66")
async def test_a_request_that_is_gone_whole_is_missed(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await company.ask(approval(quote(subject_id="Q-1"), facts(0.15)))
    gone = await company.ask(approval(quote(subject_id="Q-2"), facts(0.15)))
    tx = company.live.process.database.transaction()
    for table in ("approval_trail", "approval_request"):
        tx.do(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    for table, key in (
        ("approval_trail", "request_id"),
        ("approval_signer", "request_id"),
        ("approval_step", "request_id"),
        ("approval_request", "id"),
    ):
        tx.do(f"DELETE FROM {table} WHERE {key} = %(id)s", {"id": gone.id})
    await tx.commit()
    assert await company.breaks(first.id, gone.id) == ["missing:0"]
    last = await company.ask(approval(quote(subject_id="Q-3"), facts(0.15)))
    monkeypatch.setattr(reading, "CHAINS_PER_CALL", 1)
    named = requests_pb2.VerifyTrailRequest(ids=[first.id, gone.id, last.id])
    page = await company.requests("ops").VerifyTrail(named)
    assert (page.requests_checked, len(page.breaks)) == (1, 0)
    named.page_token = page.next_page_token
    page = await company.requests("ops").VerifyTrail(named)
    assert [(b.request_id, b.kind) for b in page.breaks] == [(gone.id, "missing")], "missed on the page where it stood"
    period = requests_pb2.VerifyTrailRequest()
    period.opened.start_time.FromDatetime(company.live.now.replace(tzinfo=None))
    found = await company.requests("ops").VerifyTrail(period)
    assert [(b.request_id, b.kind) for b in found.breaks] == [(gone.id, "missing")]


@pytest.mark.mission("S66")
async def test_a_chain_written_anew_or_cut_back_is_missed_by_the_audit_trail(company: Company) -> None:
    """Whoever computes hashes too makes a chain that is sound in itself; it is not the one that was there."""
    held = await company.ask(approval(told=facts(0.15)))
    done = await company.decide("lead", held, "REJECT")
    chain = {"ids": [held.id], "after": FIRST_ID, "opened_from": None, "opened_to": None, "limit": 2}
    tx = company.live.process.database.transaction()
    [request], trails = await store.chains(tx, chain)
    links, audited = trails[held.id], (await store.audited(tx, [held.id]))[held.id]
    await tx.rollback()
    assert reading.broken(request, links, audited) == []
    lie = links[-1].content.replace("利润太低", "没有意见")
    anew = [*links[:-1], replace(links[-1], content=lie, hash=trail.link(links[-1].previous_hash, lie))]
    rewritten = replace(request, trail_hash=anew[-1].hash)
    assert reading.broken(rewritten, anew) == []
    [found] = reading.broken(rewritten, anew, audited)
    assert (found.kind, found.sequence, found.expected_hash) == ("missing", 3, done.trail_hash)
    [found] = reading.broken(
        replace(request, trail_hash=links[1].hash, trail_length=2, route=request.route), links[:2], audited
    )
    assert (found.kind, found.expected_hash) == ("missing", done.trail_hash)


def test_a_chain_sealed_before_there_were_hashes_of_the_state_still_verifies() -> None:
    links = chain(2)
    assert "state_hash" not in links[-1].content
    assert kinds(links, 2, links[-1].hash) == []
    sealed = trail.seal(
        "r", 0, trail.FIRST, NOW, 1, [Entry("opened", "rep", content_hash=CONTENT, state_hash="s" * 64)]
    )
    assert kinds(sealed, 1, sealed[-1].hash) == []
    other = trail.seal("r", 0, trail.FIRST, NOW, 1, [Entry("opened", "rep", content_hash=CONTENT, state_hash="x" * 64)])
    assert kinds(other, 1, other[-1].hash) == [("state_differs", 1)]
