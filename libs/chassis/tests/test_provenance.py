"""Where a record came from survives jsonb, and who brought it is who called."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from closedloop.common.v1.common_pb2 import Provenance
from closedloop_chassis import errors, protos, provenance

SEEN = datetime(2026, 1, 5, 9, tzinfo=UTC)


@pytest.mark.mission("S67")
def test_who_brought_it_is_who_called_whatever_the_record_says() -> None:
    said = Provenance(source="erp", source_id=" A-1 ", brought_by="somebody", observed_time=protos.timestamp(SEEN))
    kept = provenance.keep(said, "rep1")
    assert provenance.to_proto(kept) == Provenance(
        source="erp", source_id="A-1", brought_by="rep1", observed_time=protos.timestamp(SEEN)
    )
    assert provenance.observed(kept) == SEEN


def test_nothing_said_is_nothing_kept() -> None:
    assert provenance.keep(Provenance(source_id="7"), "rep1") == {}
    assert provenance.to_proto({}) is None
    assert provenance.observed(provenance.keep(Provenance(source="crm"), "rep1")) is None


def test_the_same_record_brought_again_is_the_same() -> None:
    first = provenance.keep(Provenance(source="crm", source_id="7"), "rep1")
    assert provenance.same(first, provenance.keep(Provenance(source="crm", source_id="7"), "rep2"))
    assert not provenance.same(first, provenance.keep(Provenance(source="erp", source_id="7"), "rep1"))


def test_a_moment_no_calendar_knows_is_refused() -> None:
    said = Provenance(source="crm", source_id="7")
    said.observed_time.seconds = -(10**11)
    with pytest.raises(errors.InvalidArgument):
        provenance.keep(said, "rep1")
