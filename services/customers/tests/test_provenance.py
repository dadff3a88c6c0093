"""Who brought a record is who called, whatever the call says (S67)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from closedloop.common.v1.common_pb2 import Provenance
from closedloop_customers import provenance


@pytest.mark.mission("S67")
def test_a_caller_cannot_say_that_somebody_else_brought_it() -> None:
    said = Provenance(source="web_form", source_id="form-1", brought_by="somebody-else")
    kept = provenance.keep(said, "rep1", datetime(2026, 1, 5, tzinfo=UTC))
    assert kept["brought_by"] == "rep1"
