"""A company as a pack: what differs from what is built in, in the folder where a reader looks for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format

from closedloop_cli import shapes
from closedloop_cli.connection import SERVICES
from closedloop_cli.failures import Refused, Usage
from closedloop_cli.packs import company, reading, rows, shelf
from closedloop_cli.packs.company import Company
from closedloop_cli.packs.folder import ABOUT, PEOPLE, PRODUCTS, UNITS
from closedloop_cli.session import Session

# Where a reader looks for a rulebook; everything else is under rules.
FOLDERS = {
    "customers.fields": "fields",
    "funnel.custom_fields": "fields",
    "targets.custom_fields": "fields",
    "funnel.pipelines": "pipelines",
    "funnel.action_units": "pipelines",
    "approvals.policies": "flows",
    "approvals.tasks": "flows",
    "customers.parameters": "permissions",
    "customers.territories": "permissions",
    "integrations.templates": "templates",
    "customers.playbooks": "templates",
    "platform.permissions": "permissions",
}


@dataclass(frozen=True, slots=True)
class Exported:
    """How much of what was written."""

    files: int
    units: int
    people: int
    products: int
    books: int
    # Units and people of another day than today.
    apart: int


def export(run: Session, folder: Path, title: str, *, people: bool) -> Exported:
    """Raises Usage for a folder that has something in it, Refused for one that cannot be written."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Usage("pack_folder_taken", folder=folder)
    standing = company.active(company.read(run))
    books = _books(run)
    documents: dict[str, Any] = {ABOUT: _about(standing, title)}
    documents |= {UNITS: [_unit(unit, people) for unit in _parents_first(standing)]} if standing.units else {}
    if people and standing.people:
        documents[PEOPLE] = [rows.plain(standing.people[id_]) for id_ in sorted(standing.people)]
    if standing.products:
        documents[PRODUCTS] = [rows.plain(standing.products[id_]) for id_ in sorted(standing.products)]
    documents |= {f"{FOLDERS.get(name.partition('@')[0], 'rules')}/{name}.yaml": body for name, body in books.items()}
    try:
        for name, data in documents.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(reading.write(data), encoding="utf-8")
    except OSError as error:
        raise Refused("pack_folder_closed", folder=folder, problem=error.strerror or error) from None
    told = len(standing.people) if people else 0
    return Exported(
        len(documents),
        len(standing.units),
        told,
        len(standing.products),
        len(books),
        standing.gone + len(standing.coming),
    )


def _about(standing: Company, title: str) -> dict[str, str]:
    since = {"since": shapes.day(standing.opened)} if standing.opened is not None else {}
    return {"title": title, **since}


def _unit(unit: Any, people: bool) -> dict[str, Any]:
    """Without people there is nobody to lead it."""
    told = rows.plain(unit)
    return told if people else {name: value for name, value in told.items() if name != "manager_id"}


def _parents_first(standing: Company) -> list[Any]:
    below: dict[str, list[str]] = {}
    for id_ in sorted(standing.units):
        below.setdefault(standing.units[id_].parent_id, []).append(id_)
    ordered, ahead = [], list(reversed(below.get("", [])))
    while ahead:
        ordered.append(ahead.pop())
        ahead += reversed(below.get(ordered[-1], []))
    return [standing.units[id_] for id_ in ordered]


def _books(run: Session) -> dict[str, dict[str, Any]]:
    """By rulebook, "<name>@<service>" where services differ: what is not as built in."""
    told: dict[str, dict[str, dict[str, Any]]] = {}
    owners: dict[str, int] = {}
    for service in SERVICES:
        for listed in company.rulebooks(run, service):
            owners[listed.name] = owners.get(listed.name, 0) + 1
            if listed.version and (body := _said(run, service, listed.name)):
                told.setdefault(listed.name, {})[service] = body
    books: dict[str, dict[str, Any]] = {}
    for name, bodies in sorted(told.items()):
        first = next(iter(bodies.values()))
        if len(bodies) == owners[name] and all(body == first for body in bodies.values()):
            books[name] = first
        else:
            books |= {f"{name}@{service}": body for service, body in bodies.items()}
    return books


def _said(run: Session, service: str, name: str) -> dict[str, Any]:
    now, built_in = (
        shelf.settled(name, json_format.MessageToDict(company.rulebook(run, service, name, version).body))
        for version in (None, 0)
    )
    return shelf.tidy(name, {word: shapes.whole(now[word]) for word in now if now[word] != built_in.get(word)})
