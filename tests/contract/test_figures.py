"""The catalogues of all five services together: every figure is somebody's, shown somewhere and made of something (S79, S80)."""

from __future__ import annotations

from importlib import import_module
from typing import Any, get_args

import pytest

from closedloop_chassis import packages
from closedloop_chassis.contract import service as described
from closedloop_chassis.figures.collected import Collected, collected
from closedloop_chassis.figures.declared import Figure
from closedloop_chassis.figures.rules import FigureRules
from closedloop_chassis.figures.tracing import ASKED

SERVICES = ("targets", "customers", "funnel", "approvals", "integrations")


def catalogue(name: str) -> Collected:
    """By the rulebooks as they are delivered."""
    slices = import_module(f"closedloop_{name}.service").SERVICE.slices
    return collected(slices, lambda model: model())


CATALOGUES = {name: catalogue(name) for name in SERVICES}
FIGURES = [(name, figure) for name, known in CATALOGUES.items() for figure in known.figures.values()]
KNOWN = {figure.name for _, figure in FIGURES}
each_figure = pytest.mark.parametrize(("service", "figure"), FIGURES, ids=lambda one: getattr(one, "name", None))


def boards(service: str) -> set[str]:
    """RPCs of the service's contract, "BoardService.GetFunnelBoard"."""
    names = packages.services(f"closedloop.{service}.v1")
    return {f"{name.rpartition('.')[2]}.{method.name}" for name in names for method in described(name).methods}


@pytest.mark.mission("S79")
@each_figure
def test_every_figure_says_what_it_is_whose_it_is_and_where_it_stands(service: str, figure: Figure) -> None:
    known = CATALOGUES[service]
    assert figure.name.startswith(f"{service}.")
    assert all((figure.title, figure.definition, figure.formula, figure.sources, figure.refresh_rule))
    rules: Any = known.model()
    assert figure.owner_id or rules.owner_of(figure.name).role
    assert figure.shown_in
    for board in figure.shown_in:
        other, _, rpc = board.partition(".") if board.count(".") > 1 else (service, "", board)
        assert rpc in boards(other), board
    assert set(figure.scopes) <= {scope for scope, _ in ASKED.values()}
    model, rule = figure.rule
    assert rule.partition(".")[0] in model.model_fields, f"{model.rulebook} has no {rule}"


@pytest.mark.mission("S79")
@each_figure
def test_every_figure_is_made_of_records_or_of_figures_that_exist(service: str, figure: Figure) -> None:
    known = CATALOGUES[service]
    assert set(figure.upstream) <= KNOWN, "made of a figure nobody answers for"
    assert figure.records or figure.upstream
    assert set(figure.records) <= set(known.records)
    assert figure.step or not figure.records
    assert known.records_of(figure.name), "no raw record on its way"
    above = {figure.name}
    ahead = list(figure.upstream)
    while ahead:
        part = ahead.pop()
        assert part not in above, f"{figure.name} is made of itself"
        one = CATALOGUES[part.partition(".")[0]].figures[part]
        ahead += one.upstream


@pytest.mark.mission("S80")
@pytest.mark.parametrize("service", SERVICES)
def test_what_must_be_filled_in_is_what_records_have(service: str) -> None:
    known = CATALOGUES[service]
    assert known.model is not FigureRules, "a service has a rulebook of its figures"
    fields = {f"{record.name}.{field.name}" for record in known.records.values() for field in record.fields}
    [choices, _] = get_args(known.model.model_fields["obligatory"].annotation)
    assert set(get_args(choices)) == fields
    kinds = {f"{service}.{record}" for record in known.records}
    owners: Any = known.model().owners
    assert set(owners) <= KNOWN | kinds
    assert all(field.suggestion for record in known.records.values() for field in record.fields)
    assert all(record.late_suggestion and record.arrival for record in known.records.values())
    for agreement in known.agreements:
        assert set(agreement.figures) <= set(known.figures)
        assert agreement.record in known.records
        assert agreement.suggestion


@pytest.mark.mission("S80")
@pytest.mark.parametrize("service", SERVICES)
def test_every_service_holds_something_against_another_source(service: str) -> None:
    known = CATALOGUES[service]
    assert known.agreements
    assert any(
        "occurred_at" in record.sql and "NULL::timestamptz AS occurred_at" not in record.sql
        for record in known.records.values()
    )
