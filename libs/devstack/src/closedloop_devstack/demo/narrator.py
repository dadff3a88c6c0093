"""Prints the story for people, in Chinese or English."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table

from closedloop_devstack.demo.watch import local

Language = Literal["zh", "en"]
CALENDARS = {"plain": ("自然时间", "plain hours"), "business": ("工作时间", "working hours")}
STATES = {
    "open": ("计时中", "running"),
    "paused": ("暂停", "paused"),
    "met": ("按时完成", "met"),
    "breached": ("超时", "breached"),
    "cancelled": ("取消", "cancelled"),
}
COLOURS = {"met": "green", "breached": "red", "open": "yellow"}


@dataclass(frozen=True, slots=True)
class Text:
    """The same words in both languages."""

    zh: str
    en: str

    def said(self, language: Language) -> str:
        return self.zh if language == "zh" else self.en


def language_of_environment() -> Language:
    """Chinese where LANG says so, else English."""
    said = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "zh" if said.lower().startswith("zh") else "en"


class Narrator:
    def __init__(self, language: Language, console: Console | None = None) -> None:
        self.language = language
        self._console = console or Console(highlight=False, soft_wrap=True)

    def heading(self, text: Text) -> None:
        self._console.print()
        self._console.print(Rule(f"[bold]{escape(text.said(self.language))}[/]", align="left", style="cyan"))

    def chapter(self, number: int, title: Text, rows: Sequence[str]) -> None:
        self.heading(Text(f"{number} · {title.zh}", f"{number} · {title.en}"))
        self._console.print(f"  [dim]{' '.join(rows)}[/]")

    def line(self, text: Text, now: datetime) -> None:
        self._console.print(f"  [dim]{local(now, self.language)}[/]  {escape(text.said(self.language))}")

    def plain(self, text: Text) -> None:
        self._console.print(f"  {escape(text.said(self.language))}")

    def verified(self, text: Text) -> None:
        self._console.print(f"    [green]✓[/] {escape(text.said(self.language))}")

    def failed(self, text: Text) -> None:
        self._console.print(f"    [bold red]✗ {escape(text.said(self.language))}[/]")

    def change(self, label: Text, before: str, after: str) -> None:
        self._console.print(
            f"    [magenta]Δ[/] {escape(label.said(self.language))}: {escape(before)} → [bold]{escape(after)}[/]"
        )

    def rule(self, rulebook: str, version: int, text: Text) -> None:
        self._console.print(f"    [blue]§[/] {rulebook} v{version}: {escape(text.said(self.language))}")

    def clock(self, kind: str, hours: float, calendar: str, started: datetime, due: datetime, state: str) -> None:
        zh, en = CALENDARS.get(calendar, (calendar, calendar))
        counted = Text(f"{hours:.4g} 小时（{zh}）", f"{hours:.4g} {en}")
        word = Text(*STATES.get(state, (state, state)))
        span = f"{local(started, self.language)} → {local(due, self.language)}"
        self._console.print(
            f"    [yellow]⏱[/] {kind}: {counted.said(self.language)}, {span}, "
            f"[{COLOURS.get(state, 'white')}]{word.said(self.language)}[/]"
        )

    def timeless(self, why: Text) -> None:
        self._console.print(f"    [yellow]⏱[/] [dim]{escape(why.said(self.language))}[/]")

    def table(self, title: Text, heads: Sequence[Text], rows: Sequence[Sequence[str | Text]]) -> None:
        table = Table(
            *(head.said(self.language) for head in heads), title=escape(title.said(self.language)), title_justify="left"
        )
        for row in rows:
            table.add_row(*(escape(cell.said(self.language) if isinstance(cell, Text) else cell) for cell in row))
        self._console.print(table)
