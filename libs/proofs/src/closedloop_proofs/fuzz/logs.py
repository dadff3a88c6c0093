"""What must not stand in any log: secrets, personal data, and the tracebacks of what nobody foresaw."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import ahocorasick

# Shorter ones are words; they would be found in anything.
SHORTEST = 6
_ADDRESS = re.compile(r"0x[0-9a-f]+")
# A collector of traces that is slow or away is foreseen: its spans are dropped, and nothing else waits for it.
_COLLECTOR = "opentelemetry.exporter."


def leaks(folder: Path, secrets: Mapping[str, str]) -> list[str]:
    """`secrets`: what it is, by what must not be read. Answers file, line number and what leaked, never the secret."""
    finder = ahocorasick.Automaton()
    for secret, what in secrets.items():
        if len(secret) >= SHORTEST:
            finder.add_word(secret, (what, secret))
    if not len(finder):
        return []
    finder.make_automaton()
    found: dict[tuple[str, str], str] = {}
    for path, number, line in _lines(folder):
        for _, (what, secret) in finder.iter(line):
            found.setdefault((path.name, what), f"{path.name}:{number}: {what}: {_around(line, secret)}")
    return list(found.values())


def lengths(folder: Path) -> dict[str, int]:
    """How many lines each log has by now."""
    return {path.name: number for path, number, _ in _lines(folder)}


def tracebacks(folder: Path, after: Mapping[str, int] | None = None) -> list[str]:
    """One line per kind of failure: which process, which event, the last line of its traceback. `after`: lines of each
    log that were there before, and are somebody else's."""
    found: dict[str, int] = {}
    for path, number, line in _lines(folder):
        if after and number <= after.get(path.name, 0):
            continue
        # all.log says everything a second time; the servers' own logs are not ours.
        if path.name == "all.log" or path.name.split(".")[0] in ("postgres", "redis", "rabbit", "migrate"):
            continue
        told = _ADDRESS.sub("0x", _failure(line))
        if told:
            key = f"{path.name}: {told}"
            found[key] = found.get(key, 0) + 1
    return [f"{key} ({times} times)" for key, times in found.items()]


def credentials(*urls: str) -> Iterator[tuple[str, str]]:
    """The passwords of connection URLs, as written and as meant."""
    for url in urls:
        parts = urlsplit(url)
        if parts.password:
            yield f"the password of a {parts.scheme} URL", parts.password
            yield f"the decoded password of a {parts.scheme} URL", unquote(parts.password)


def _failure(line: str) -> str:
    try:
        event = json.loads(line)
    except ValueError:
        return line.strip()[:200] if "Traceback" in line or "Fatal Python" in line else ""
    if not isinstance(event, dict):
        return ""
    exception = str(event.get("exception", ""))
    if event.get("level") not in ("error", "critical") and not exception:
        return ""
    if str(event.get("logger", "")).startswith(_COLLECTOR):
        return ""
    last = exception.strip().splitlines()[-1] if exception.strip() else str(event.get("error", ""))
    return f"{event.get('event')} {event.get('method', event.get('type', ''))} {last[:200]}"


def _lines(folder: Path) -> Iterator[tuple[Path, int, str]]:
    for path in sorted(folder.glob("*.log")):
        with path.open(encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                yield path, number, line


def _around(line: str, secret: str) -> str:
    at = line.find(secret)
    return f"{line[max(0, at - 60) : at]}<here>{line[at + len(secret) : at + len(secret) + 30]}".strip()
