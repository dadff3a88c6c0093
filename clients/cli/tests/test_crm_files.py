"""Reading the files of a CRM export: what is mended, what is refused, and what the real ones say of themselves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money

from closedloop.common.v1.common_pb2 import Provenance
from closedloop.customers.v1.accounts_pb2 import AccountRow
from closedloop.funnel.v1 import opportunities_pb2
from closedloop.options.v1 import options_pb2
from closedloop_cli.failures import Usage
from closedloop_cli.loading import contract_rows, mapping, people
from closedloop_cli.loading.codes import Codes, code
from closedloop_cli.loading.ledger import Ledger, RowRefused
from closedloop_cli.loading.mapping import Kind
from closedloop_cli.loading.records import Accounts, Opportunities, Products, readable
from closedloop_cli.loading.rows import Row, read
from closedloop_cli.loading.survey import StageTotal, survey

CRM = mapping.load()
DEALS = "opportunity_id,sales_agent,product,account,deal_stage,engage_date,close_date,close_value"

Write = Callable[[Kind, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes one file of the layout; answers its folder."""

    def put(kind: Kind, text: str) -> Path:
        (tmp_path / CRM.files[kind].name).write_text(text, encoding="utf-8")
        return tmp_path

    return put


def rows(folder: Path, kind: Kind, ledger: Ledger | None = None) -> list[Row]:
    return list(read(folder, kind, CRM, ledger))


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("20-10-16", date(2016, 10, 20)),
        ("2016-10-20", date(2016, 10, 20)),
        ("31-02-17", None),
        ("10/20/2016", None),
        ("soon", None),
    ],
)
def test_days_are_iso_or_as_declared(text: str, day: date | None) -> None:
    found = CRM.day(text)
    assert (found and found[0]) == day


def test_a_deal_is_read_and_what_was_mended_is_counted(write: Write) -> None:
    ledger = Ledger()
    folder = write("opportunities", f"{DEALS}\nZ063OYW0,Mei-Mei Johns,GTXPro,Isdom,Won,25-10-16,2017-03-11,4514\n")
    item = Opportunities("USD")(rows(folder, "opportunities", ledger)[0])
    assert item.message == opportunities_pb2.OpportunityRow(
        provenance=Provenance(source="crm", source_id="Z063OYW0"),
        name="Isdom · GTX Pro",
        owner="mei-mei-johns",
        account="Isdom",
        product="gtx-pro",
        pipeline_id="crm-import",
        stage="won",
        state=opportunities_pb2.OPPORTUNITY_STATE_WON,
        engage_date=Date(year=2016, month=10, day=25),
        close_date=Date(year=2017, month=3, day=11),
        value=Money(currency_code="USD", units=4514),
    )
    assert dict(ledger.mends) == {
        ("product", "GTXPro", "GTX Pro"): 1,
        ("engage_date", "dd-mm-yy", "yyyy-mm-dd"): 1,
    }


def test_a_deal_without_an_account_stays_without_one(write: Write) -> None:
    folder = write("opportunities", f"{DEALS}\nA1,Moses Frase,GTX Basic,,Engaging,25-10-16,,\n")
    deal = Opportunities("USD")(rows(folder, "opportunities")[0]).message
    assert deal.account == ""
    assert not deal.HasField("value")
    assert not deal.HasField("close_date")


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        (",Moses Frase,GTX Basic,Cancity,Won,25-10-16,01-03-17,5", "opportunity_id", "VALUE_MISSING"),
        ("A1,,GTX Basic,Cancity,Won,25-10-16,01-03-17,5", "sales_agent", "VALUE_MISSING"),
        ("A1,Moses Frase,GTX Basic,Cancity,Dreaming,25-10-16,01-03-17,5", "deal_stage", "STAGE_UNKNOWN"),
        ("A1,Moses Frase,GTX Basic,Cancity,Won,2016/10/25,01-03-17,5", "engage_date", "DATE_UNREADABLE"),
        ("A1,Moses Frase,GTX Basic,Cancity,Won,25-10-16,01-03-17,cheap", "close_value", "NUMBER_UNREADABLE"),
        ("A1,Moses Frase,GTX Basic", "", "ROW_MALFORMED"),
    ],
)
def test_a_row_that_cannot_be_read_is_told_with_its_line(write: Write, line: str, column: str, reason: str) -> None:
    ledger = Ledger()
    folder = write("opportunities", f"{DEALS}\nB1,Moses Frase,,,Engaging,,,\n{line}\n")
    good = list(readable("opportunities", read(folder, "opportunities", CRM, ledger), ledger, Opportunities("USD")))
    assert [item.message.provenance.source_id for item in good] == ["B1"]
    assert [(one.file, one.row, one.column, one.reason) for one in ledger.rejections] == [
        ("sales_pipeline.csv", 3, column, reason)
    ]
    # The good one is counted when it is sent.
    assert (
        ledger.tally("opportunities").figures() | {"read": 1, "rejected": 1} == ledger.tally("opportunities").figures()
    )


def test_an_account_is_read_in_the_codes_of_the_platform(write: Write) -> None:
    ledger = Ledger()
    heading = "account,sector,year_established,revenue,employees,office_location,subsidiary_of"
    folder = write("accounts", f"{heading}\nAcme,technolgy,1996,1100.04,2822,Philipines,Sonron\n")
    account: AccountRow = Accounts("USD")(rows(folder, "accounts", ledger)[0]).message
    assert account.provenance.source_id == "Acme"
    assert account.parent_source_id == "Sonron"
    profile = account.profile
    assert (profile.industry, profile.region_code, profile.address) == ("technology", "PH", "Philippines")
    assert (profile.founding_year, profile.employee_count) == (1996, 2822)
    assert profile.annual_revenue == Money(currency_code="USD", units=1_100_040_000)
    assert set(ledger.mends) == {("sector", "technolgy", "technology"), ("country", "Philipines", "Philippines")}


def test_a_product_takes_its_aliases_along(write: Write) -> None:
    folder = write("products", "product,series,sales_price\nGTX Pro,GTX,4821\nMG Special,MG,55\n")
    make = Products("USD")
    first, second = (make(row).message for row in rows(folder, "products"))
    assert (first.id, first.line, list(first.aliases)) == ("gtx-pro", "gtx", ["GTXPro"])
    assert first.list_price == Money(currency_code="USD", units=4821)
    assert list(second.aliases) == []


def test_two_names_never_share_a_code(write: Write) -> None:
    folder = write("products", "product,series,sales_price\nGTX Pro,GTX,1\nGTX-Pro,GTX,1\n")
    make = Products("USD")
    one, other = rows(folder, "products")
    make(one)
    with pytest.raises(RowRefused, match="gtx-pro"):
        make(other)


@pytest.mark.parametrize(
    ("name", "expected"), [("Anna Snelling", "anna-snelling"), ("Zoë Müller", "zoe-muller"), ("GTK 500", "gtk-500")]
)
def test_codes_of_names(name: str, expected: str) -> None:
    assert code(name) == expected


@pytest.mark.parametrize("name", ["张伟", "李 Wei", "x" * 80, "!!!"])
def test_a_name_ascii_cannot_hold_has_a_code_of_its_own(name: str) -> None:
    made = code(name)
    assert made == code(name)
    assert 1 <= len(made) <= 64
    assert made != code(f"{name}2")
    assert all(char.isascii() and (char.isalnum() or char in "._-") for char in made)
    assert Codes().of(name) == made


def test_the_organisation_out_of_a_list_of_agents(write: Write) -> None:
    ledger = Ledger()
    lines = ["Ann,Mo,East", "Ben,Mo,East", "Cy,Mo,West", "Ann,Mo,West", "Mo,Mo,East"]
    folder = write("teams", "\n".join(["sales_agent,manager,regional_office", *lines]) + "\n")
    made = people.gather(read(folder, "teams", CRM, ledger), CRM, None, ledger)
    units = {key: item.message.unit for key, item in made.units.items()}
    assert list(units) == ["company", "east", "east-mo", "west", "west-mo"]
    assert [(unit.parent_id, unit.kind, unit.manager_id) for unit in units.values()] == [
        ("", "company", ""),
        ("company", "region", ""),
        ("east", "team", "mo"),
        ("company", "region", ""),
        ("west", "team", "mo"),
    ]
    staff = {key: item.message.person for key, item in made.people.items()}
    assert {key: person.unit_id for key, person in staff.items()} == {
        "mo": "east-mo",
        "ann": "east-mo",
        "ben": "east-mo",
        "cy": "west-mo",
    }
    assert list(staff["mo"].roles) == [options_pb2.ROLE_MANAGER]
    assert list(staff["ann"].roles) == [options_pb2.ROLE_REP]
    # Leaders come right after the units they lead.
    assert [item.message.WhichOneof("row") for item in made.items()] == ["unit"] * 5 + ["person"] * 4
    assert next(item.message.person.id for item in made.items() if item.message.HasField("person")) == "mo"
    assert [(one.row, one.reason) for one in ledger.rejections] == [(5, "AGENT_REPEATED")]


def test_offices_hang_below_a_root_that_is_there(write: Write) -> None:
    folder = write("teams", "sales_agent,manager,regional_office\nAnn,Mo,East\n")
    made = people.gather(read(folder, "teams", CRM), CRM, "acme", Ledger())
    assert list(made.units) == ["east", "east-mo"]
    assert made.units["east"].message.unit.parent_id == "acme"


def test_files_that_cannot_be_read_say_why(write: Write, tmp_path: Path) -> None:
    with pytest.raises(Usage) as missing:
        rows(tmp_path / "nowhere", "teams")
    assert "No such file" in str(missing.value.values["problem"])
    with pytest.raises(Usage) as lacking:
        rows(write("teams", "agent,manager\nx,y\n"), "teams")
    assert lacking.value.values["missing"] == "sales_agent, regional_office"
    (tmp_path / "products.csv").write_bytes("product\n\xe9t\xe9\n".encode("latin-1"))
    with pytest.raises(Usage):
        rows(tmp_path, "products")


def test_a_byte_order_mark_and_empty_lines_do_no_harm(write: Write) -> None:
    folder = write("products", "\ufeffproduct , series\n\nGTX Pro , GTX\n")
    (row,) = rows(folder, "products")
    assert (row.line, row.text("product"), row.text("series")) == (3, "GTX Pro", "GTX")


@pytest.mark.parametrize(
    ("was", "becomes", "where"),
    [
        ("currency: USD", "currency: dollars", "currency"),
        ("source: crm  ", "sauce: crm  ", "source"),
        ("teams:\n", "team:\n", "files.team"),
        ("agent: sales_agent, ", "", "files"),
        ("state: won}", "state: gone}", "stages.Won.state"),
    ],
)
def test_a_wrong_mapping_says_where(tmp_path: Path, was: str, becomes: str, where: str) -> None:
    shipped = Path(mapping.__file__).with_name("crm.yaml").read_text()
    assert was in shipped
    changed = tmp_path / "changed.yaml"
    changed.write_text(shipped.replace(was, becomes, 1))
    with pytest.raises(Usage) as wrong:
        mapping.load(changed)
    assert str(wrong.value.values["where"]).startswith(where)


@pytest.mark.mission("U14")
def test_what_the_real_file_says_of_itself(data_folder: Path) -> None:
    found = survey(read(data_folder / "crm", "opportunities", CRM))
    assert found.rows == 8800
    assert found.since == date(2016, 10, 20)
    assert found.stages["won"] == StageTotal(4238, Decimal(10_005_534), 0)
    assert (found.stages["lost"].count, found.stages["lost"].accountless) == (2473, 0)
    assert (found.stages["engaging"].count, found.stages["engaging"].accountless) == (1589, 1088)
    assert (found.stages["prospecting"].count, found.stages["prospecting"].accountless) == (500, 337)


@pytest.mark.mission("U14")
def test_every_row_of_the_real_files_can_be_read(data_folder: Path) -> None:
    ledger = Ledger()
    folder = data_folder / "crm"
    kinds: dict[Kind, tuple[object, int]] = {
        "products": (Products("USD"), 7),
        "accounts": (Accounts("USD"), 85),
        "opportunities": (Opportunities("USD"), 8800),
    }
    for kind, (make, count) in kinds.items():
        made = list(readable(kind, read(folder, kind, CRM, ledger), ledger, make))  # type: ignore[arg-type]
        assert len(made) == count
    organisation = people.gather(read(folder, "teams", CRM, ledger), CRM, None, ledger)
    assert (len(organisation.units), len(organisation.people)) == (1 + 3 + 6, 35 + 6)
    assert ledger.rejections == []
    assert ledger.mends["product", "GTXPro", "GTX Pro"] == 1480
    assert ledger.mends["sector", "technolgy", "technology"] == 12
    assert ledger.mends["engage_date", "dd-mm-yy", "yyyy-mm-dd"] == 8300
    assert ledger.mends["close_date", "dd-mm-yy", "yyyy-mm-dd"] == 6711


def test_numbers_the_contract_cannot_hold_are_rejected_with_their_line(write: Write) -> None:
    ledger = Ledger()
    heading = "account,sector,year_established,revenue,employees,office_location,subsidiary_of"
    lines = "A,x,1996,1,99999999999,x,\nB,x,1996,999999999999999,1,x,\nC,x,1996,1,1,x,\n"
    folder = write("accounts", f"{heading}\n{lines}")
    good = list(readable("accounts", read(folder, "accounts", CRM, ledger), ledger, Accounts("USD")))
    assert [item.message.provenance.source_id for item in good] == ["C"]
    assert [(one.row, one.reason) for one in ledger.rejections] == [(2, "NUMBER_TOO_LARGE"), (3, "NUMBER_TOO_LARGE")]


@pytest.mark.parametrize(
    ("name", "text"), [("deep.jsonl", "[" * 5000), ("deep.csv", f"profile.custom_fields\n{'[' * 5000}\n")]
)
def test_json_nested_without_end_is_unreadable(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    ledger = Ledger()
    try:
        assert list(contract_rows.items(tmp_path / name, "account", lambda _: AccountRow(), ledger)) == []
    except Usage:
        return
    assert [one.reason for one in ledger.rejections] == ["VALUE_UNREADABLE"]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+86 21 5555", "'+86 21 5555"),
        ("@name", "'@name"),
        ("-a", "'-a"),
        ("'quoted", "''quoted"),
        ("-12.5", "-12.5"),
        ("plain's", "plain's"),
        ("", ""),
    ],
)
def test_no_cell_becomes_a_formula_and_every_text_comes_back(text: str, cell: str) -> None:
    assert contract_rows.guarded(text) == cell
    assert contract_rows.unguarded(cell) == text
