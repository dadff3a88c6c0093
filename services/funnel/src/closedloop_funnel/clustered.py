"""Cases of one person are alike: intervals over cases, made as wide as the people they come from differ (S91, S94, S101).

Linearised ratio with the people as clusters (Cochran 1977, 6.3; Liang and Zeger 1986), Student's t on people less one; the
interval over cases stays where it is the wider one, as with shares at 0 or 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt

from closedloop.funnel.v1 import experiments_pb2 as pb
from closedloop_funnel import estimates
from closedloop_funnel.standard_errors import reach

Values = Mapping[str, Sequence[float]]


def mean(found: pb.Estimate, values: Values) -> pb.Estimate:
    """`found` is of all cases together."""
    return _widened(found, _mean_error(values), len(_people(values)))


def relative(found: pb.Estimate, before: Values, after: Values) -> pb.Estimate:
    """after / before - 1; a person on both sides is one."""
    people = sorted({*_people(before), *_people(after)})
    earlier, later = _mean(before), _mean(after)
    if earlier is None or later is None or not earlier:
        return found
    errors = [
        _part(after, person, later) / earlier - later / earlier**2 * _part(before, person, earlier) for person in people
    ]
    return _widened(found, _error(errors), len(people))


def difference(found: pb.Estimate, ones: Values, others: Values) -> pb.Estimate:
    """Mean of the ones less that of the others; a person on both sides is one."""
    people = sorted({*_people(ones), *_people(others)})
    mine, theirs = _mean(ones), _mean(others)
    if mine is None or theirs is None:
        return found
    errors = [_part(ones, person, mine) - _part(others, person, theirs) for person in people]
    return _widened(found, _error(errors), len(people))


def _widened(found: pb.Estimate, error: float | None, people: int) -> pb.Estimate:
    if not found.HasField("value"):
        return found
    if error is None:
        return estimates.cannot_say(found.unit, found.sample_size, f"{found.sample_size} cases of one person")
    half = reach(people) * error
    low, high = min(found.low, found.value - half), max(found.high, found.value + half)
    if found.method.startswith("wilson"):
        low, high = max(low, 0.0), min(high, 1.0)
    elif found.method.startswith("newcombe"):
        low, high = max(low, -1.0), min(high, 1.0)
    told = pb.Estimate()
    told.CopyFrom(found)
    told.low, told.high = low, high
    told.method = f"{found.method}, by person"
    told.explanation = "; ".join(filter(None, (found.explanation, f"of {people} people")))
    if low <= 0 <= high and found.verdict in (pb.ESTIMATE_VERDICT_HIGHER, pb.ESTIMATE_VERDICT_LOWER):
        told.verdict = pb.ESTIMATE_VERDICT_NO_DIFFERENCE
    return told


def _mean_error(values: Values) -> float | None:
    middle = _mean(values)
    return None if middle is None else _error([_part(values, person, middle) for person in _people(values)])


def _error(parts: Sequence[float]) -> float | None:
    """Standard error of a sum of one part each person; None of one alone."""
    count = len(parts)
    return sqrt(count / (count - 1) * sum(one * one for one in parts)) if count > 1 else None


def _part(values: Values, person: str, middle: float) -> float:
    """What a person moves the mean by."""
    own = values.get(person, ())
    return (sum(own) - middle * len(own)) / sum(map(len, values.values()))


def _mean(values: Values) -> float | None:
    cases = sum(map(len, values.values()))
    return sum(map(sum, values.values())) / cases if cases else None


def _people(values: Values) -> list[str]:
    return sorted(person for person, own in values.items() if own)
