"""Boards of the business: the rules they keep, and every query asked of databases that a whole turn of the loop has filled."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml  # type: ignore[import-untyped]
from psycopg import sql
from psycopg.rows import dict_row

from closedloop.customers.v1 import leads_pb2, leads_pb2_grpc
from closedloop.funnel.v1 import opportunities_pb2, opportunities_pb2_grpc, quotes_pb2, quotes_pb2_grpc
from closedloop_chassis import ids
from closedloop_chassis.data import readers
from closedloop_devstack.demo import rows
from closedloop_devstack.demo.chapters import CHAPTERS
from closedloop_devstack.demo.narrator import Narrator
from closedloop_devstack.demo.play import staged, tell
from closedloop_devstack.demo.stage import PROGRAM, Stage
from closedloop_devstack.demo.tale import Step
from closedloop_devstack.demo.watch import CHINA
from closedloop_operations.sql import FOLDER, NAMES, READER, Query, queries

from .charts import LEAST, SOURCES, Charts, environment, merged, of_kind, umbrella

ROOT = SOURCES.parents[1]
BOARDS = {name: json.loads((ROOT / FOLDER / f"{name}.json").read_text()) for name in NAMES}
# Mornings that boards are taken on, Mondays among them, after the story's end.
WEEKS = 2


@pytest.mark.parametrize("name", BOARDS)
def test_the_linters_rules_for_boards_over_sql(name: str) -> None:
    board = BOARDS[name]
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    assert board["editable"] is False
    shown = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len(shown) > 5
    assert len({panel["title"] for panel in shown}) == len(shown)
    for panel in shown:
        where = f"{name}, {panel['title']}"
        service = panel["datasource"]["uid"].strip("${}")
        assert variables[service]["type"] == "datasource", where
        assert variables[service]["query"] == panel["datasource"]["type"] == "grafana-postgresql-datasource", where
        assert panel["title"], where
        assert panel["description"].endswith("."), where
        assert panel["fieldConfig"]["defaults"]["unit"], where
        assert panel["gridPos"]["w"] <= 24
        [target] = panel["targets"]
        assert target["datasource"] == panel["datasource"], where
        assert target["rawQuery"], where
        assert "$__time" in target["rawSql"], f"{where}: whatever time is shown, it says the same"
    for query in (one for one in queries(ROOT) if one.board == name):
        for variable in set(re.findall(r"\$([a-z]\w*)", query.sql)):
            assert variable in variables, f"{name}, {query.name}: ${variable}"


def test_data_sources_are_those_the_boards_look_for(charts: Charts) -> None:
    rendered = charts.render("closedloop", umbrella())
    [made] = [one for one in of_kind(rendered, "ConfigMap") if one["metadata"]["name"] == "closedloop-datasources"]
    provisioned = yaml.safe_load(made["data"]["closedloop.yaml"])
    assert provisioned["apiVersion"] == 1
    sources = {source["name"]: source for source in provisioned["datasources"]}
    for board in BOARDS.values():
        for variable in (one for one in board["templating"]["list"] if one["type"] == "datasource"):
            pattern = re.compile(variable["regex"].strip("/i"), re.I)
            [found] = [source for name, source in sources.items() if pattern.search(name)]
            assert found["type"] == variable["query"]
            service = variable["name"]
            assert found["url"] == f"closedloop-{service}-db-r.acme.svc:5432"
            [cluster] = [
                one for one in of_kind(rendered, "Cluster") if one["metadata"]["name"] == f"closedloop-{service}-db"
            ]
            assert found["jsonData"]["database"] == cluster["spec"]["bootstrap"]["initdb"]["database"]
    for source in sources.values():
        assert source["user"] == READER
        # Grafana's own environment has it; nothing secret stands in a ConfigMap.
        assert source["secureJsonData"] == {"password": "$CLOSEDLOOP_READER_PASSWORD"}


def test_the_reader_of_an_operators_cluster_is_let_in_by_the_migrations(charts: Charts) -> None:
    pg = {"enabled": True, "reader": {"existingSecret": "reader"}}
    rendered = charts.render("funnel", merged(LEAST, {"database": {"cloudnativePg": pg}, "settings": {"pool_max": 8}}))
    [cluster] = of_kind(rendered, "Cluster")
    [role] = cluster["spec"]["managed"]["roles"]
    assert (role["name"], role["login"], role["passwordSecret"]) == (READER, True, {"name": "reader"})
    assert "superuser" not in role
    [job] = of_kind(rendered, "Job")
    [container] = job["spec"]["template"]["spec"]["containers"]
    told = environment(container)
    assert (told["CLOSEDLOOP_REPORT_READER"], told["CLOSEDLOOP_POOL_MAX"]) == (READER, "8")
    [job] = of_kind(charts.render("funnel", LEAST), "Job")
    assert "CLOSEDLOOP_REPORT_READER" not in environment(job["spec"]["template"]["spec"]["containers"][0])


@pytest.fixture(scope="module")
def story(session_folder: Path) -> Iterator[Stage]:
    """The demo, told to its end, and the mornings after it."""
    home = session_folder / "story"
    home.mkdir()
    steps = [Step(chapter) for chapter in CHAPTERS]
    narrator = Narrator("en")
    with staged(home, narrator, 2026) as stage:
        tell(stage, narrator, steps)
        assert not [step.error for step in steps if step.error]
        for _ in range(7 * WEEKS):
            tomorrow = stage.now.astimezone(CHINA).date() + timedelta(days=1)
            stage.move_to(datetime.combine(tomorrow, time(7), CHINA))
            _settle(stage)
        _leave_open(stage)
        _settle(stage)
        stage.later(minutes=1)
        yield stage


def _settle(stage: Stage) -> None:
    """As `Stage.settle`, on a machine that may be busy."""
    stage.until("all events to arrive", lambda: not any(map(stage.backlog, stage.services)), seconds=180)


def _leave_open(stage: Stage) -> None:
    """What a story that ends well lacks: a lead nobody answers, a deal that is lost, a discount nobody has decided on."""
    profile = leads_pb2.LeadProfile(
        company_name="Quiet Works", region_code="330000", industry="manufacturing", need="a quote by Friday"
    )
    inquiry = leads_pb2.IntakeLeadRequest(
        request_id=ids.new_id(), profile=profile, provenance=rows.came_from("unanswered", source="web_form")
    )
    stage.stub(leads_pb2_grpc.LeadServiceStub, PROGRAM).IntakeLead(inquiry)
    seller = next(person.id for person in stage.company.people if "rep" in person.roles)
    deals = stage.stub(opportunities_pb2_grpc.OpportunityServiceStub, seller)
    lost, kept = (
        deals.CreateOpportunity(
            opportunities_pb2.CreateOpportunityRequest(
                request_id=ids.new_id(), name=name, provenance=rows.came_from(name), amount=rows.cny(5_000_000)
            )
        )
        for name in ("lost", "kept")
    )
    deals.CloseOpportunity(
        opportunities_pb2.CloseOpportunityRequest(
            request_id=ids.new_id(), opportunity_id=lost.id, etag=lost.etag, reason_code="price",
            outcome=opportunities_pb2.OPPORTUNITY_STATE_LOST,
        )
    )  # fmt: skip
    quotes = stage.stub(quotes_pb2_grpc.QuoteServiceStub, seller)
    product = next(iter(stage.company.product.values()))
    line = quotes_pb2.QuoteLine(
        product_id=product.id, quantity=1, list_price=rows.cny(product.list_price), discount_ratio=0.3
    )
    quote = quotes.CreateQuote(
        quotes_pb2.CreateQuoteRequest(
            request_id=ids.new_id(), opportunity_id=kept.id, lines=[line], valid_until_date=rows.day(2026, 6, 30),
            justification="a second line",
        )
    )  # fmt: skip
    quotes.SubmitQuote(quotes_pb2.SubmitQuoteRequest(request_id=ids.new_id(), quote_id=quote.id, etag=quote.etag))


@pytest.mark.timeout(1500)
@pytest.mark.mission("S10", "S11", "S12", "S18", "S47")
def test_every_panel_shows_something_to_the_reader(story: Stage) -> None:
    databases = {query.service: _admitted(story.platform.database(query.service)) for query in queries(ROOT)}
    start, end = story.now - timedelta(days=40), story.now
    choices: dict[str, str] = {}
    nothing = []
    for query in queries(ROOT):
        answer = _asked(databases[query.service], query.filled(start, end, choices))
        if query.kind == "choice":
            # Grafana takes the first until somebody chooses.
            assert answer, f"{query.board}: nothing to choose for {query.name}"
            choices[query.name] = next(iter(answer[0].values()))
        elif not _says_something(query, answer):
            nothing.append(f"{query.board}, {query.name}: {answer[:2]}")
    assert not nothing, "\n".join(nothing)


def _admitted(url: str) -> str:
    """The URL of the reader, made as docs/operate.md says and let in as `migrate` does."""
    with closing(psycopg.connect(url, autocommit=True)) as owner:
        role = sql.Identifier(READER)
        if not owner.execute("SELECT to_regrole(%s) IS NOT NULL", [READER]).fetchone()[0]:  # type: ignore[index]
            owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'reader'").format(role))
            owner.execute(sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(role))
    readers.admit(url, READER)
    return psycopg.conninfo.make_conninfo(url, user=READER, password="reader")


def _asked(url: str, statement: str) -> list[dict[str, Any]]:
    with closing(psycopg.connect(url, autocommit=True, row_factory=dict_row)) as connection:
        return list(connection.execute(statement))


def _says_something(query: Query, answer: list[dict[str, Any]]) -> bool:
    """A line has points, a table rows, a number a value; a count of nothing is no value."""
    if query.format == "time_series":
        return any(value is not None for row in answer for name, value in row.items() if name not in ("time", "metric"))
    values = [value for row in answer for value in row.values()]
    return any(value is not None for value in values) and values != [0]
