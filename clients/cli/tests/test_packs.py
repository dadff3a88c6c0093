"""Packs where no service is: how YAML is read, what is wrong on which line, and what differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from closedloop.targets.v1 import org_pb2, products_pb2
from closedloop_cli.packs import checking, differences, folder, reading, rows, shelf
from closedloop_cli.words import Words
from closedloop_devstack.platform.home import project

pytestmark = pytest.mark.mission("S100")


def pack_of(root: Path, files: dict[str, str]) -> folder.Pack:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder.read(root)


def said(pack: folder.Pack) -> list[tuple[str, int, str, str]]:
    return [
        (problem.file, problem.line, problem.where, problem.sentence(Words("en")))
        for problem in checking.problems(pack)
    ]


def test_yaml_is_read_as_people_mean_it() -> None:
    document = reading.parse(
        "x.yaml", "day: 2026-01-05\nhour: 09:30\nno: no\ncode: 007\nrate: 0.5\nlist: [1, -2, 1e3]\nis: true\n"
    )
    assert document.data == {
        "day": "2026-01-05",
        "hour": "09:30",
        "no": "no",
        "code": "007",
        "rate": 0.5,
        "list": [1, -2, 1000.0],
        "is": True,
    }
    assert [document.line(where) for where in (("day",), ("list", 2), ("list", "nowhere"), ("is",))] == [1, 6, 6, 7]


@pytest.mark.parametrize(
    "value",
    [
        "2026-01-05",
        "1e3",
        "no",
        "12",
        "null",
        "~",
        "",
        " a ",
        "多行\n文本\n",
        "a\nb",
        "x: y",
        "- a",
        "{name}",
        1.5,
        3,
        True,
        None,
    ],
)
def test_what_is_written_is_read_again(value: Any) -> None:
    told = {"a": value, "b": [value, {"c": value}]}
    assert reading.parse("x.yaml", reading.write(told)).data == told


# Nine aliases of nine aliases, ten times: a short file, a million values.
BOMB = "b0: &b0 [1]\n" + "".join(f"b{i + 1}: &b{i + 1} [{','.join([f'*b{i}'] * 9)}]\n" for i in range(9))


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "pack_key_twice"),
        ("a: 1\nb: [1\n", 3, "pack_not_yaml"),
        ("a: !!python/object/apply:os.system [x]\n", 1, "pack_tag"),
        ("? [a]\n: b\n", 1, "pack_key_no_word"),
        ("[" * 300, 1, "pack_too_deep"),
        ("a: &x [*x]\n", 1, "pack_too_deep"),
        (BOMB, 1, "pack_too_many_values"),
        ("a: 1e999\n", 1, "pack_number"),
        ("a: 1\n---\nb: 2\n", 2, "pack_not_yaml"),
    ],
)  # fmt: skip
def test_what_nobody_should_review_is_refused_with_its_line(text: str, line: int, key: str) -> None:
    with pytest.raises(reading.Unreadable) as refused:
        reading.parse("x.yaml", text)
    assert (refused.value.line, refused.value.key) == (line, key)


@pytest.mark.parametrize("name", ["industrial-b2b", "retail-chain"])
def test_the_shipped_packs_are_sound(name: str) -> None:
    pack = folder.read(project() / "packs" / name)
    assert said(pack) == []
    assert min(len(pack.units), len(pack.people), len(pack.books)) >= 20
    assert pack.products


def test_every_problem_is_told_with_file_line_and_what_to_do(tmp_path: Path) -> None:
    pack = pack_of(
        tmp_path,
        {
            "pack.yaml": "title: x\nsince: soon\nauthor: me\n",
            "organisation/units.yaml": "- {id: CO, name: x, kind: company}\n"
            "- {id: A B, name: x, kind: team, parent_id: CO, territory: {regions: 31}}\n",
            "organisation/people.yaml": "- id: E1\n  name: 张三\n  unit_id: CO\n  roles: [boss]\n  hire_date: 5.1.2026\n",
            "products.yaml": "- {id: P1, list_price: cheap}\n",
            "flows/approvals.policies.yaml": "policies:\n- name: Big One\n  title: x\n  kinds: []\n"
            "  explanation: x\n  stesp: []\n",
            "rules/customers.response.yaml": "first_response: {hours: -2}\nreassignments: often\n",
            "rules/funnel.pipeline.yaml": "a: 1\n",
        },
    )
    found = said(pack)
    assert {(file, line, where) for file, line, where, _ in found} == {
        ("pack.yaml", 2, "since"),
        ("pack.yaml", 3, "author"),
        ("organisation/units.yaml", 2, "1.id"),
        ("organisation/units.yaml", 2, "1.territory.regions"),
        ("organisation/people.yaml", 4, "0.roles.0"),
        ("organisation/people.yaml", 5, "0.hire_date"),
        ("products.yaml", 1, "0.list_price"),
        ("products.yaml", 1, "0"),
        ("flows/approvals.policies.yaml", 2, "policies.0.name"),
        ("flows/approvals.policies.yaml", 4, "policies.0.kinds"),
        ("flows/approvals.policies.yaml", 6, "policies.0.stesp"),
        ("rules/customers.response.yaml", 1, "first_response.hours"),
        ("rules/customers.response.yaml", 2, "reassignments"),
        ("rules/funnel.pipeline.yaml", 1, ""),
    }
    sentences = "\n".join(sentence for *_, sentence in found)
    assert "boss is none of: rep, manager" in sentences
    assert "stesp is no word here; known are: accumulation_days, condition" in sentences
    assert "call the file after one (funnel.pipelines" in sentences
    assert "5.1.2026 is no day; write it like 2026-01-05" in sentences


UNITS = "- {id: CO, name: x, kind: company, manager_id: E1}\n"
PEOPLE = "- {id: E1, name: x, unit_id: CO, roles: [manager], function: finance}\n"


@pytest.mark.parametrize(
    ("file", "text", "line", "words"),
    [
        ("organisation/units.yaml", UNITS + "- {id: T, name: x, kind: squad, parent_id: CO}\n", 2, "squad is no level"),
        ("organisation/units.yaml", UNITS + "- {id: T, name: x, kind: team, parent_id: NO}\n", 2, "has no unit NO"),
        ("organisation/units.yaml", UNITS + "- {id: T, name: x, kind: team}\n", 2, "a company has one root"),
        ("organisation/units.yaml", UNITS + UNITS.replace("E1", "E9"), 2, "stands in line 1 already"),
        ("organisation/units.yaml", UNITS.replace("E1", "E9"), 1, "has no person E9"),
        ("organisation/units.yaml", UNITS + "- {id: T, name: x, kind: team, parent_id: T}\n", 2, "below itself"),
        ("organisation/people.yaml", PEOPLE + "- {id: E2, name: x, unit_id: NO}\n", 2, "has no unit NO"),
        ("platform.permissions@customers.yaml", "narrowed:\n  customers.AccountService.Lsit: {rep: none}\n", 2, "is no RPC"),
        ("platform.permissions@customers.yaml",
         "narrowed:\n  customers.AccountService.ListAccounts: {rep: company}\n", 2, "gives a rep no more than own"),
        ("pipelines/funnel.pipelines.yaml", "default: gone\n", 1, "gone is none of: b2b"),
        ("flows/approvals.policies.yaml",
         "policies:\n- name: a\n  title: x\n  kinds: [quote]\n  explanation: x\n  steps:\n  - {name: s, signers: ['role:legal']}\n",
         7, "nobody in organisation/people.yaml is role:legal"),
    ],
)  # fmt: skip
def test_what_refers_to_something_finds_it(tmp_path: Path, file: str, text: str, line: int, words: str) -> None:
    files = {"organisation/units.yaml": UNITS, "organisation/people.yaml": PEOPLE, file: text}
    found = said(pack_of(tmp_path, files))
    assert found[0][:2] == (file, line)
    assert words in found[0][3]


def test_a_rulebook_of_all_services_is_told_for_all_or_for_one(tmp_path: Path) -> None:
    (tmp_path / "platform.home.yaml").write_text("currency_code: CNY\n")
    (tmp_path / "platform.home@funnel.yaml").write_text("currency_code: USD\n")
    (tmp_path / "customers.leads@customers.yaml").write_text("{}\n")
    (tmp_path / "platform.retention@nobody.yaml").write_text("{}\n")
    pack = folder.read(tmp_path)
    told = {book.services: book.body["currency_code"] for book in pack.books}
    assert told == {("targets", "customers", "approvals", "integrations"): "CNY", ("funnel",): "USD"}
    assert [problem.key for problem in pack.problems] == ["pack_file_service"] * 2


def test_records_in_lists_are_told_apart_by_their_names() -> None:
    before = {"a": [{"key": "x", "n": 1}, {"key": "y", "n": 2}], "b": [1, 2], "c": 1}
    after = {"a": [{"key": "y", "n": 3}, {"key": "z"}, {"key": "x", "n": 1}], "b": [2], "c": 1}
    found = [(one.path, one.before, one.after) for one in differences.between(before, after)]
    assert found == [
        ("a[y].n", "2", "3"),
        ("a[z]", "–", '{"key": "z"}'),
        ("a", '["x", "y"]', '["y", "x"]'),
        ("b", "[1, 2]", "[2]"),
    ]
    assert not list(differences.between(before, before))


def test_a_set_is_the_same_in_any_order_and_a_body_is_written_short() -> None:
    channels = ["visit", "email", "phone"]
    told = [
        shelf.settled("customers.interactions", {"inbound_channels": order}) for order in (channels, channels[::-1])
    ]
    assert told[0] == told[1]
    body = {"first_response": {"warn_at": None, "days": 0.0, "hours": 2.0, "calendar": "business"}, "reassignments": 3}
    short = shelf.tidy("customers.response", body)
    assert short == {"first_response": {"hours": 2.0, "calendar": "business"}, "reassignments": 3}
    assert list(short["first_response"]) == ["hours", "calendar"]


def test_a_row_is_written_as_it_was_read() -> None:
    person = {
        "id": "E1",
        "name": "张三",
        "unit_id": "CO",
        "roles": ["rep", "manager"],
        "handles": {"wecom": "zs"},
        "territory": {"regions": ["31"]},
        "hire_date": "2026-01-05",
        "custom_fields": {"level": 3, "badge": "A"},
    }
    product = {
        "id": "P1",
        "name": "茶",
        "aliases": ["tea"],
        "list_price": "3.6 CNY",
        "stage": "growth",
        "retired": True,
    }
    for shape, told in ((org_pb2.PersonInput, person), (products_pb2.ProductInput, product)):
        message, misfits = rows.read(shape, told)
        assert misfits == []
        assert rows.plain(message) == told


def test_a_folder_without_yaml_is_no_pack(tmp_path: Path, shell: Any) -> None:
    assert "holds no YAML file" in shell()("pack", "validate", tmp_path, status=2)
    (tmp_path / "customers.fields.yaml").write_text("account: {a: {type: colour}}\n")
    shown = shell(LANG="zh_CN.UTF-8")("pack", "validate", tmp_path, status=1)
    assert "customers.fields.yaml:1：account.a.type: colour 不在以下之中：text, number, boolean, date" in shown
    assert shell().lines("pack", "validate", tmp_path, status=1)[0]["line"] == 1
