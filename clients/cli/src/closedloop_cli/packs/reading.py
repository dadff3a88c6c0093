"""YAML as sales operators write it, with the line on which everything stands.

A number is what JSON calls one, `true` and `false` are the only booleans, everything else is text: 2026-01-05, 09:30, no.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

# Steps from the top of a file to a value: words of mappings, places in lists.
Where = tuple[str | int, ...]

LARGEST_FILE = 5_000_000
# Aliases can make a short file long; nobody reviews a file of so many values, or one so deep.
MOST_VALUES, DEEPEST = 200_000, 60
LARGEST_NUMBER = 2**53

_BOOLEAN, _WHOLE, _DECIMAL = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_NOTHING, _TEXT = "tag:yaml.org,2002:null", "tag:yaml.org,2002:str"
_MAPPING, _LIST = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"
_PATTERNS = (
    (_BOOLEAN, re.compile(r"true|false"), "tf"),
    (_WHOLE, re.compile(r"-?(?:0|[1-9][0-9]*)"), "-0123456789"),
    (_DECIMAL, re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"), "-0123456789"),
    (_NOTHING, re.compile(r"null|~|"), ["n", "~", ""]),
)


class Unreadable(Exception):
    """A file that says nothing we could judge: `key` and `values` name a sentence of the catalogue."""

    def __init__(self, line: int, key: str, **values: object) -> None:
        super().__init__(key)
        self.line, self.key, self.values = line, key, values


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    depth = 0

    def compose_node(self, parent: yaml.Node, index: Any) -> yaml.Node:
        """Counts how deep it is before Python's stack does, which is as deep as whoever calls."""
        if self.depth > DEEPEST:
            raise Unreadable(self.peek_event().start_mark.line + 1, "pack_too_deep", deepest=DEEPEST)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    # What other readers of YAML would take for no text is written in quotes, too.
    yaml_implicit_resolvers = {first: list(found) for first, found in yaml.SafeDumper.yaml_implicit_resolvers.items()}

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _tag, _pattern, _firsts in _PATTERNS:
    _whole = re.compile(rf"(?:{_pattern.pattern})\Z")
    _Loader.add_implicit_resolver(_tag, _whole, list(_firsts))
    _Dumper.add_implicit_resolver(_tag, _whole, list(_firsts))
_Dumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar(_TEXT, text, style="|" if "\n" in text.strip() else None)
)


@dataclass(frozen=True, slots=True)
class Document:
    """One file: its name within the folder, what it says, and on which line each value stands."""

    name: str
    data: Any
    lines: Mapping[Where, int]

    def line(self, where: Where) -> int:
        """Of the value, or of the nearest one around it."""
        while where not in self.lines and where:
            where = where[:-1]
        return self.lines.get(where, 1)


def read(folder: Path, name: str) -> Document:
    """Raises Unreadable."""
    path = folder / name
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise Unreadable(1, "pack_file_large", megabytes=LARGEST_FILE // 1_000_000)
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Unreadable(1, "pack_file_closed", problem=error.strerror or error) from None
    except UnicodeDecodeError:
        raise Unreadable(1, "pack_not_utf8") from None
    return parse(name, text)


def parse(name: str, text: str) -> Document:
    """Raises Unreadable."""
    lines: dict[Where, int] = {}
    try:
        node = yaml.compose(text, Loader=_Loader)
        data = None if node is None else _Builder(lines).value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Unreadable(
            mark.line + 1 if mark else 1, "pack_not_yaml", problem=error.problem or error.context
        ) from None
    except yaml.YAMLError as error:
        raise Unreadable(1, "pack_not_yaml", problem=str(error).splitlines()[0]) from None
    return Document(name, data, lines)


def write(data: Any) -> str:
    """As `parse` reads it back."""
    text: str = yaml.dump(data, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=150)
    return text


class _Builder:
    def __init__(self, lines: dict[Where, int]) -> None:
        self._lines = lines
        self._left = MOST_VALUES

    def value(self, node: yaml.Node, where: Where) -> Any:
        line = node.start_mark.line + 1
        self._left -= 1
        if self._left < 0:
            raise Unreadable(line, "pack_too_many_values", most=MOST_VALUES)
        if len(where) > DEEPEST:
            raise Unreadable(line, "pack_too_deep", deepest=DEEPEST)
        self._lines.setdefault(where, line)
        if isinstance(node, yaml.MappingNode) and node.tag == _MAPPING:
            return self._mapping(node, where)
        if isinstance(node, yaml.SequenceNode) and node.tag == _LIST:
            return [self.value(item, (*where, place)) for place, item in enumerate(node.value)]
        return _scalar(node, line)

    def _mapping(self, node: yaml.MappingNode, where: Where) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, item in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise Unreadable(line, "pack_key_no_word")
            if key.value in found:
                raise Unreadable(line, "pack_key_twice", word=key.value)
            self._lines[(*where, key.value)] = line
            found[key.value] = self.value(item, (*where, key.value))
        return found


def _scalar(node: yaml.Node, line: int) -> Any:
    text: str = node.value
    if node.tag == _TEXT:
        return text
    if node.tag == _BOOLEAN:
        return text == "true"
    if node.tag == _NOTHING:
        return None
    if node.tag not in (_WHOLE, _DECIMAL) or not isinstance(text, str):
        raise Unreadable(line, "pack_tag", tag=node.tag)
    try:
        number = int(text) if node.tag == _WHOLE else float(text)
    except ValueError:
        raise Unreadable(line, "pack_number", text=text[:40]) from None
    # Rulebooks travel as JSON, whose numbers are doubles.
    if abs(number) > LARGEST_NUMBER:
        raise Unreadable(line, "pack_number", text=text[:40])
    return number
