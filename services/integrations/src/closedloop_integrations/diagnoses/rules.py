"""What is looked for in a foreign data set, from which share on it is bad, and what it costs the score."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from closedloop_chassis.rulebook.rules import Part, Rules

Light = Literal["blue", "yellow", "red"]


class Vocabulary(Part):
    """Words in the title of a column by which a table is told for what it is, where it is the table's key."""

    accounts: tuple[str, ...] = ("account", "customer", "company", "client", "客户", "公司", "单位")
    opportunities: tuple[str, ...] = ("opportunity", "deal", "商机", "机会")
    people: tuple[str, ...] = (
        "agent",
        "seller",
        "owner",
        "person",
        "employee",
        "rep",
        "user",
        "销售",
        "员工",
        "人员",
        "姓名",
    )
    products: tuple[str, ...] = ("product", "sku", "item", "产品", "商品", "物料")

    def of(self, title: str) -> str:
        """Empty where no word fits; the longest decides."""
        fitting = [
            (len(word), kind)
            for kind in type(self).model_fields
            for word in getattr(self, kind)
            if word in title.casefold()
        ]
        return max(fitting)[1] if fitting else ""


class DiagnosisRules(Rules):
    """Thresholds of the diagnosis; shares are of the rows examined."""

    rulebook: ClassVar[str] = "integrations.diagnosis"

    vocabulary: Vocabulary = Vocabulary()
    most_rows: int = Field(default=2_000_000, ge=1, le=50_000_000)
    most_columns: int = Field(default=500, ge=1, le=10_000)
    # Gzip unpacks to so much at most.
    most_unpacked_bytes: int = Field(default=128 * 1024 * 1024, ge=1024)
    # Of all tables together; and what the process that looks at them may take.
    most_cells: int = Field(default=20_000_000, ge=1)
    most_memory_bytes: int = Field(default=3 * 1024**3, ge=256 * 1024**2)
    # A column whose filled values are so distinct names its rows; fewer rows than two name nothing.
    key_distinct: float = Field(default=0.98, gt=0.5, le=1)
    # A column points to a key where so many of its filled rows are found there, aliases counted.
    reference_found: float = Field(default=0.6, gt=0, le=1)
    # Values at least so alike (0..1, Levenshtein) may be one misspelled.
    likeness: float = Field(default=0.84, gt=0.5, lt=1)
    # A column of few values, each used several times, is a code.
    most_codes: int = Field(default=100, ge=2, le=10_000)
    # Of a table's columns so many are looked at as the state that explains blanks, and so many as days in an order.
    most_states: int = Field(default=20, ge=1, le=500)
    most_states_values: int = Field(default=25, ge=2, le=1000)
    most_days: int = Field(default=12, ge=2, le=500)
    # Shorter words are too often abbreviations to be called misspelled.
    shortest_word: int = Field(default=6, ge=3, le=30)
    # What a word is corrected to occurs so often in the dictionary's texts; a name is corrected to what is so like it (0..1); and
    # what is a word of another of these languages is right.
    usual_word: int = Field(default=100, ge=0)
    name_likeness: float = Field(default=0.94, gt=0.5, lt=1)
    other_languages: tuple[Literal["de", "es", "fr", "it", "nl", "pt"], ...] = ("fr", "es")
    # A column that is empty for other reasons than a state of the row is complete from here on.
    filled_enough: float = Field(default=0.9995, gt=0, le=1)
    # A column holds days where so many of its filled rows are one, and the others are only written like one.
    days_read: float = Field(default=0.9, gt=0.5, le=1)
    # Two dates stand in an order that so many rows keep; the others break it.
    order_kept: float = Field(default=0.95, gt=0.5, lt=1)
    # An open row not begun within so many days before the newest day of the set is stale.
    stale_days: int = Field(default=180, ge=1, le=3660)
    yellow_from: float = Field(default=0.01, ge=0, le=1)
    red_from: float = Field(default=0.1, ge=0, le=1)
    # Points of a hundred that a finding costs when every row has it.
    costs: dict[str, float] = Field(
        default={
            "missing_reference": 40,
            "alias": 15,
            "misspelling": 10,
            "idle_owner": 10,
            "missing_field": 20,
            "duplicate": 40,
            "stale": 10,
            "deviation": 30,
            "broken_row": 40,
            "impossible_date": 30,
        }
    )
    longest_examples: int = Field(default=20, ge=1, le=20)
    # Of all; worst first.
    most_findings: int = Field(default=200, ge=1, le=1000)

    def light(self, count: int, examined: int) -> Light:
        share = count / examined if examined else 0.0
        return "red" if share >= self.red_from else "yellow" if share >= self.yellow_from else "blue"
