"""The tables of an export: a folder, a file, or an address, as they are handed to the diagnosis."""

from __future__ import annotations

import io
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from closedloop_cli.failures import Refused, Usage

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt")
# The services take no larger message.
MOST_BYTES = 32 * 1024 * 1024
MOST_TABLES = 50
SECONDS = 60.0


def tables(place: str) -> list[tuple[str, bytes]]:
    """(name, content). Raises Usage where there is nothing to read, Refused for what is too large or cannot be read."""
    if urllib.parse.urlsplit(place).scheme in ("http", "https"):
        found = list(_of_file(_name(place), _fetched(place), place))
    else:
        path = Path(place)
        if not path.exists():
            raise Usage("dataset_missing", place=place)
        files = sorted(each for each in path.iterdir() if _is_table(each.name)) if path.is_dir() else [path]
        found = []
        for file in files:
            found += _of_file(file.name, _read(file), place)
    if not found:
        raise Usage("dataset_empty", place=place, suffixes=" ".join(SUFFIXES))
    if len(found) > MOST_TABLES or sum(len(content) for _, content in found) >= MOST_BYTES:
        raise Refused("dataset_too_large", place=place, megabytes=MOST_BYTES // 1024 // 1024, tables=MOST_TABLES)
    return found


def _is_table(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _name(url: str) -> str:
    return PurePosixPath(urllib.parse.urlsplit(url).path).name or "table.csv"


def _read(file: Path) -> bytes:
    if file.stat().st_size >= MOST_BYTES:
        raise Refused("dataset_too_large", place=str(file), megabytes=MOST_BYTES // 1024 // 1024, tables=MOST_TABLES)
    return file.read_bytes()


def _fetched(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            content: bytes = answer.read(MOST_BYTES)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise Refused("file_unreadable", file=url, problem=str(error)) from error
    if len(content) >= MOST_BYTES:
        raise Refused("dataset_too_large", place=url, megabytes=MOST_BYTES // 1024 // 1024, tables=MOST_TABLES)
    return content


def _of_file(name: str, content: bytes, place: str) -> Iterator[tuple[str, bytes]]:
    """A zip holds several; anything else is one table, whatever it is called."""
    if not content.startswith(b"PK\x03\x04"):
        if content:
            yield name, content
        return
    try:
        left = MOST_BYTES
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for part in archive.infolist():
                if not _is_table(PurePosixPath(part.filename).name):
                    continue
                with archive.open(part) as opened:
                    table = opened.read(left)
                left -= len(table)
                if left <= 0:
                    raise Refused(
                        "dataset_too_large", place=place, megabytes=MOST_BYTES // 1024 // 1024, tables=MOST_TABLES
                    )
                if table:
                    yield PurePosixPath(part.filename).name, table
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise Refused("file_unreadable", file=name, problem=str(error)) from error
