"""Adding up: whatever a service answers, read = loaded + unchanged + rejected."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from closedloop.common.v1.common_pb2 import BulkSummary, RowError
from closedloop_cli.failures import Refused
from closedloop_cli.loading import contract_rows
from closedloop_cli.loading.ledger import Ledger, Rejection
from closedloop_cli.loading.loader import Item, Loader


class Register:
    """A service that keeps names: new ones are created, "bad" is refused, and "early" until it has heard of it."""

    def __init__(self, hears_after: int = 0) -> None:
        self.known: set[str] = set()
        self.calls: list[int] = []
        self._hears_after = hears_after

    def __call__(self, rows: Sequence[Any]) -> BulkSummary:
        self.calls.append(len(rows))
        summary = BulkSummary(read=len(rows))
        for position, name in enumerate(rows):
            if name == "bad" or (name == "early" and len(self.calls) <= self._hears_after):
                reason = "NAME_BAD" if name == "bad" else "OWNER_UNKNOWN"
                summary.errors.append(RowError(row=position, reason=reason, field="name.first", message="no"))
                summary.rejected += 1
            elif name in self.known:
                summary.unchanged += 1
            else:
                self.known.add(name)
                summary.created += 1
        return summary


def items(*names: str) -> list[Item]:
    leans_on = {"OWNER_UNKNOWN": "person:ann"}
    return [Item(name, "f.csv", line, {"name": "Name"}, leans_on) for line, name in enumerate(names, start=2)]


def loader(ledger: Ledger, *, dry_run: bool = False, patience: float = 5.0) -> Loader:
    return Loader(ledger, dry_run=dry_run, batch=2, patience=patience)


def test_batches_add_up_and_a_second_run_changes_nothing() -> None:
    register = Register()
    first, second = Ledger(), Ledger()
    loader(first).load("names", items("a", "b", "bad", "c", "d"), register)
    assert register.calls == [2, 2, 1]
    assert first.tally("names").figures() == {
        "read": 5,
        "loaded": 4,
        "created": 4,
        "updated": 0,
        "unchanged": 0,
        "rejected": 1,
    }
    assert first.rejections == [Rejection("f.csv", 4, "Name", "NAME_BAD", "no")]
    loader(second).load("names", items("a", "b", "bad", "c", "d"), register)
    assert (second.tally("names").loaded, second.tally("names").unchanged) == (0, 4)
    assert first.adds_up
    assert second.adds_up


def test_a_row_that_comes_too_early_is_sent_again() -> None:
    register, ledger = Register(hears_after=2), Ledger()
    patient = loader(ledger)
    patient.coming.add("person:ann")
    patient.load("names", items("a", "early"), register)
    assert register.calls == [2, 1, 1]
    assert ledger.tally("names").figures()["loaded"] == 2
    assert ledger.adds_up


def test_patience_ends() -> None:
    register, ledger = Register(hears_after=100), Ledger()
    patient = loader(ledger, patience=0.0)
    patient.coming.add("person:ann")
    patient.load("names", items("early"), register)
    assert [one.reason for one in ledger.rejections] == ["OWNER_UNKNOWN"]
    assert ledger.adds_up


def test_nobody_waits_for_what_is_not_coming() -> None:
    register, ledger = Register(hears_after=1), Ledger()
    loader(ledger).load("names", items("early"), register)
    assert register.calls == [1]
    assert ledger.tally("names").rejected == 1


def test_a_dry_run_counts_a_row_as_what_it_would_become() -> None:
    register, ledger = Register(hears_after=100), Ledger()
    dry = loader(ledger, dry_run=True)
    dry.coming.add("person:ann")
    dry.load("names", items("early", "bad"), register)
    assert register.calls == [2]
    assert (ledger.tally("names").created, ledger.tally("names").rejected) == (1, 1)
    assert ledger.adds_up


@pytest.mark.parametrize(
    "summary",
    [
        BulkSummary(read=2, created=2),
        BulkSummary(read=1, created=2),
        BulkSummary(read=1, rejected=1),
        BulkSummary(read=1, unchanged=0),
    ],
)
def test_a_service_whose_figures_do_not_add_up_is_not_believed(summary: BulkSummary) -> None:
    with pytest.raises(Refused, match="figures_wrong"):
        loader(Ledger()).load("names", items("a"), lambda rows: summary)


def test_all_refused_rows_stand_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "errors.csv"
    with Ledger(path) as ledger:
        loader(ledger).load("names", items(*["bad"] * 50), Register())
    with path.open(newline="") as file:
        written = list(csv.DictReader(file))
    assert len(written) == ledger.rejected == 50
    assert written[-1] == {"file": "f.csv", "row": "51", "column": "Name", "reason": "NAME_BAD", "message": "no"}
    assert len(ledger.rejections) == 20


def test_files_in_the_words_of_the_contract(tmp_path: Path) -> None:
    from closedloop.customers.v1 import accounts_pb2

    path = tmp_path / "accounts.csv"
    path.write_text(
        "name,industry,annual_revenue,domains,owner_id,provenance.source_id,custom_fields\n"
        '华东机械,manufacturing,"1200000 CNY",a.cn; b.cn,u1,A-1,"{""fleet"": 3}"\n'
        "Bad,retail,much,,,,\n"
    )
    ledger = Ledger()
    found = list(contract_rows.items(path, "accounts", lambda _: accounts_pb2.AccountRow(), ledger, "erp"))
    (item,) = found
    account = item.message
    assert (account.profile.name, account.owner_id) == ("华东机械", "u1")
    assert list(account.profile.domains) == ["a.cn", "b.cn"]
    assert account.profile.annual_revenue.units == 1_200_000
    assert account.profile.custom_fields["fleet"] == 3
    assert (account.provenance.source, account.provenance.source_id) == ("erp", "A-1")
    assert [(one.row, one.column, one.reason) for one in ledger.rejections] == [
        (3, "annual_revenue", "VALUE_UNREADABLE")
    ]


def test_json_lines_and_unknown_columns(tmp_path: Path) -> None:
    from closedloop.customers.v1 import leads_pb2
    from closedloop.targets.v1 import products_pb2

    lines = tmp_path / "leads.jsonl"
    lines.write_text('{"profile": {"companyName": "Acme"}, "stage": "LEAD_STAGE_CONTACT"}\n\n{"profil": {}}\n')
    ledger = Ledger()
    found = list(contract_rows.items(lines, "leads", lambda _: leads_pb2.LeadRow(), ledger))
    assert [item.message.profile.company_name for item in found] == ["Acme"]
    assert found[0].message.provenance.source == "spreadsheet"
    assert len(found[0].message.provenance.source_id) == 32
    assert [(one.row, one.reason) for one in ledger.rejections] == [(3, "VALUE_UNREADABLE")]

    table = tmp_path / "products.csv"
    table.write_text("id,name,stage,retired,colour\np1,Pump,mature,no,\np2,Fan,growth,yes,red\n")
    ledger = Ledger()
    found = list(contract_rows.items(table, "products", lambda _: products_pb2.ProductInput(), ledger))
    assert [(item.message.id, item.message.stage) for item in found] == [("p1", products_pb2.LIFE_CYCLE_STAGE_MATURE)]
    assert found[0].message.provenance.source_id == "p1"
    assert [(one.row, one.column, one.reason) for one in ledger.rejections] == [(3, "colour", "COLUMN_UNKNOWN")]
