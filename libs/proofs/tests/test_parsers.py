"""Everything that reads what others wrote, searched for a moment; `make fuzz` searches on."""

from __future__ import annotations

import os

import pytest

from closedloop_proofs.fuzz.parsers import PARSERS, Parser, one_round

EXAMPLES = 40


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_nothing_breaks_it(parser: Parser) -> None:
    found = one_round(parser, int(os.environ.get("CLOSEDLOOP_FUZZ_SEED", "20260105")), EXAMPLES)
    assert not found, found[0]
