"""The folder of a pack: which file says what.

    pack.yaml                             title, and what the pack is for
    organisation/units.yaml, people.yaml  a list each
    products.yaml                         a list
    fields/customers.fields.yaml …        rulebooks: the file is called after the rulebook, the folder is for the reader

A rulebook of every service (platform.calendars) holds in all of them; platform.home@funnel.yaml in one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from closedloop.targets.v1 import org_pb2, products_pb2
from closedloop_cli.failures import Usage
from closedloop_cli.packs import reading, rows, shelf
from closedloop_cli.packs.reading import Document, Unreadable, Where
from closedloop_cli.words import Words

Shape = TypeVar("Shape", bound=Message)
ABOUT, UNITS, PEOPLE, PRODUCTS = "pack.yaml", "organisation/units.yaml", "organisation/people.yaml", "products.yaml"
SUFFIXES = (".yaml", ".yml")
# Of units and people together, and of products: what one call of the contract takes.
MOST_ROWS = 10_000
# Beside a pack, a folder may have pages and tables for people.
MOST_FILES = 2000


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong on which line, as a sentence of the catalogue that says what to do."""

    file: str
    line: int
    where: str
    key: str
    values: dict[str, object]

    def sentence(self, words: Words) -> str:
        return words(self.key, **self.values)


@dataclass(frozen=True, slots=True)
class Row(Generic[Shape]):
    """One unit, person or product, and where it stands."""

    message: Shape
    document: Document
    where: Where

    @property
    def id(self) -> str:
        return str(getattr(self.message, "id"))  # noqa: B009


@dataclass(frozen=True, slots=True)
class Book:
    """One rulebook for the services that take it."""

    name: str
    services: tuple[str, ...]
    document: Document

    @property
    def body(self) -> dict[str, Any]:
        return dict(self.document.data)


@dataclass(slots=True)
class Pack:
    """`since`: from which day on an organisation counts that was not there before; today when None."""

    folder: Path
    title: str = ""
    since: date | None = None
    units: list[Row[org_pb2.UnitInput]] = field(default_factory=list)
    people: list[Row[org_pb2.PersonInput]] = field(default_factory=list)
    products: list[Row[products_pb2.ProductInput]] = field(default_factory=list)
    books: list[Book] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def complain(self, document: Document | str, where: Where, key: str, **values: object) -> None:
        name, line = (document, 1) if isinstance(document, str) else (document.name, document.line(where))
        self.problems.append(Problem(name, line, dotted(where), key, values))

    def book(self, name: str) -> Book | None:
        return next((book for book in self.books if book.name == name), None)


def dotted(where: Where) -> str:
    return ".".join(map(str, where))


def read(folder: Path) -> Pack:
    """Everything that can be read, with all that cannot among its problems. Raises Usage for a folder that is no pack."""
    pack = Pack(folder)
    names = sorted(_names(folder))
    if not names:
        raise Usage("pack_empty", folder=folder)
    for name in names:
        try:
            document = reading.read(folder, name)
        except Unreadable as unreadable:
            pack.problems.append(Problem(name, unreadable.line, "", unreadable.key, unreadable.values))
            continue
        _take(pack, document)
    _one_book_each(pack)
    return pack


def _names(folder: Path) -> Iterator[str]:
    """YAML files below the folder, hidden ones aside; a link does not lead out of it."""
    count = 0
    for root, below, files in os.walk(folder):
        below[:] = sorted(one for one in below if not one.startswith("."))
        for file in sorted(files):
            if file.endswith(SUFFIXES) and not file.startswith("."):
                count += 1
                if count > MOST_FILES:
                    raise Usage("pack_too_many_files", folder=folder, most=MOST_FILES)
                yield (Path(root) / file).relative_to(folder).as_posix()


def _take(pack: Pack, document: Document) -> None:
    name = str(Path(document.name).with_suffix(".yaml").as_posix())
    takers: dict[str, Callable[[], None]] = {
        ABOUT: lambda: _about(pack, document),
        UNITS: lambda: _rows(pack, document, org_pb2.UnitInput, pack.units),
        PEOPLE: lambda: _rows(pack, document, org_pb2.PersonInput, pack.people),
        PRODUCTS: lambda: _rows(pack, document, products_pb2.ProductInput, pack.products),
    }
    takers.get(name, lambda: _book(pack, document))()


def _about(pack: Pack, document: Document) -> None:
    if not isinstance(document.data, dict):
        pack.complain(document, (), "pack_wants_mapping")
        return
    known = ("title", "description", "since")
    for word in document.data:
        if word not in known:
            pack.complain(document, (word,), "pack_word_unknown", word=word, known=", ".join(known))
    pack.title = str(document.data.get("title") or "")
    since = document.data.get("since")
    try:
        pack.since = date.fromisoformat(str(since)) if since else None
    except ValueError:
        pack.complain(document, ("since",), "pack_wants_day", given=since)
    if pack.since is not None and pack.since > date.today():
        pack.complain(document, ("since",), "pack_since_later", day=pack.since)


def _rows(pack: Pack, document: Document, shape: type[Shape], into: list[Row[Shape]]) -> None:
    if not isinstance(document.data, list):
        pack.complain(document, (), "pack_wants_list")
        return
    for at, given in enumerate(document.data):
        message, misfits = rows.read(shape, given)
        for misfit in misfits:
            pack.complain(document, (at, *misfit.where), misfit.key, **misfit.values)
        into.append(Row(message, document, (at,)))


def _book(pack: Pack, document: Document) -> None:
    name, at, service = Path(document.name).stem.partition("@")
    shape = shelf.find(name)
    if shape is None:
        close = get_close_matches(name, shelf.names(), 3, 0.4)
        pack.complain(document, (), "pack_file_unknown", name=name, close=", ".join(close) or "-")
    elif at and (service not in shape.services or len(shape.services) == 1):
        pack.complain(document, (), "pack_file_service", service=service, known=", ".join(shape.services))
    elif not isinstance(document.data, dict):
        pack.complain(document, (), "pack_wants_mapping")
    else:
        pack.books.append(Book(name, (service,) if at else shape.services, document))


def _one_book_each(pack: Pack) -> None:
    """What is said for one service goes before what is said for all."""
    special = {(book.name, book.services[0]) for book in pack.books if "@" in book.document.name}
    books: list[Book] = []
    seen: dict[tuple[str, str], str] = {}
    for book in pack.books:
        alone = "@" in book.document.name
        services = tuple(one for one in book.services if alone or (book.name, one) not in special)
        first = next((seen[key] for one in services if (key := (book.name, one)) in seen), "")
        if first:
            pack.complain(book.document, (), "pack_book_twice", name=book.name, file=first)
            continue
        seen |= {(book.name, one): book.document.name for one in services}
        books.append(Book(book.name, services, book.document))
    pack.books = books
