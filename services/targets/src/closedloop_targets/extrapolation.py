"""Where a monthly series is heading, and how well that was known before (S6).

Numbers in, numbers out: this runs in a process of its own, which alone imports the library that does the statistics.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist, fmean, pstdev
from typing import Any


@dataclass(frozen=True, slots=True)
class Options:
    """`seasons` are (months of a season, least months of history), the longest first; `level` what the interval holds."""

    horizon: int
    seasons: tuple[tuple[int, int], ...]
    level: float
    folds: int
    fold_months: int


@dataclass(frozen=True, slots=True)
class Path:
    values: list[float]
    lower: list[float]
    upper: list[float]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Of a backtest with a rolling origin. `mase` is scaled by the seasonal-naive error within each fold's history."""

    mase: float | None
    wape: float | None
    coverage: float | None
    folds: int


UNTESTED = Accuracy(None, None, None, 0)


@dataclass(frozen=True, slots=True)
class Outlook:
    """`accuracy` is of the method that was chosen, `model` and `plain` of both that stood for election. `seasons` are what
    the months of a season come to, 1 being their mean, from the forecast's first month on; none without a season."""

    path: Path
    season: int
    method: str
    naive: bool
    explanation: str
    accuracy: Accuracy
    model: Accuracy = UNTESTED
    plain: Accuracy = UNTESTED
    seasons: tuple[float, ...] = ()


def many(histories: Sequence[Sequence[float]], options: Options) -> list[Outlook | str]:
    """One per history, in order; what could not be done is said in one line."""
    found: list[Outlook | str] = []
    for history in histories:
        try:
            found.append(outlook(history, options))
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}"[:200])
    return found


def outlook(history: Sequence[float], options: Options) -> Outlook:
    """The library's theta model where there is history enough and it beats seasonal-naive before; else naive, and why."""
    known = _from_first(history)
    season = next((length for length, least in options.seasons if len(known) >= least), 1)
    if season == 1:
        least = options.seasons[-1][1] if options.seasons else 0
        said = (
            f"{len(known)} months of history are too short for a model ({least} are needed): the mean of the last three"
        )
        return Outlook(naive(known, 1, options), 1, "naive", True, said, UNTESTED)
    seasons = rhythm(known, season)
    if not any(now - then for then, now in zip(known, known[season:], strict=False)):
        flat = not pstdev(known)
        said = "the history is flat: it goes on" if flat else f"every season of {season} months is like the one before"
        method = "naive" if flat else "seasonal_naive"
        return Outlook(naive(known, season, options), season, method, True, said, UNTESTED, seasons=seasons)
    model, plain = (backtest(known, season, options, how) for how in (theta, naive))
    if model.mase is not None and plain.mase is not None and model.mase > plain.mase:
        said = f"seasonal-naive (season of {season} months) was closer than theta before: MASE {plain.mase:.2f} to {model.mase:.2f}"
        path = naive(known, season, options)
        return Outlook(path, season, "seasonal_naive", True, said, plain, model, plain, seasons)
    said = f"theta with a season of {season} months"
    if model.mase is not None and plain.mase is not None:
        said += f"; MASE {model.mase:.2f}, seasonal-naive {plain.mase:.2f} over {model.folds} origins"
    return Outlook(theta(known, season, options), season, "theta", False, said, model, model, plain, seasons)


def rhythm(known: Sequence[float], season: int) -> tuple[float, ...]:
    """The last season of the library's decomposition over its mean level; of at least two seasons.

    R. Cleveland et al., STL: A Seasonal-Trend Decomposition Procedure Based on Loess, J. Official Statistics 6 (1990)."""
    import numpy as np
    from statsforecast.mstl import mstl

    found = mstl(np.asarray(known, dtype=float), season)
    level = fmean(found["trend"][-season:])
    if level <= 0:
        return ()
    return tuple(max(1 + float(part) / level, 0.0) for part in found["seasonal"][-season:])


def naive(known: Sequence[float], season: int, options: Options) -> Path:
    """The value a season ago; without seasons the mean of the last three. The interval from its own past errors."""
    if season == 1:
        last = fmean(known[-3:]) if known else 0.0
        values = [last] * options.horizon
    else:
        values = [known[len(known) - season + step % season] for step in range(options.horizon)]
    errors = [now - then for then, now in zip(known, known[season:], strict=False)]
    spread = sqrt(fmean([error * error for error in errors])) if errors else 0.0
    z = NormalDist().inv_cdf(0.5 + options.level / 2)
    half = [z * spread * sqrt(step // season + 1) for step in range(options.horizon)]
    return _path(
        values, [v - h for v, h in zip(values, half, strict=True)], [v + h for v, h in zip(values, half, strict=True)]
    )


def theta(known: Sequence[float], season: int, options: Options) -> Path:
    """V. Assimakopoulos, K. Nikolopoulos, The theta model, IJF 16 (2000). Of the library's four thetas the cheapest (1.7 ms),
    and on noisy seasonal series no worse than the dearest (2.5 ms)."""
    import numpy as np
    from statsforecast.models import Theta

    percent = round(options.level * 100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Theta(season_length=season)
        found: dict[str, Any] = model.forecast(np.asarray(known, dtype=float), h=options.horizon, level=[percent])
    return _path(*(list(map(float, found[name])) for name in ("mean", f"lo-{percent}", f"hi-{percent}")))


def backtest(known: Sequence[float], season: int, options: Options, how: Any) -> Accuracy:
    """From the last origins, each one month later, so many months ahead; none where too little history would be left."""
    least = next(least for length, least in options.seasons if length == season)
    scaled, absolute, actuals, held = [], 0.0, 0.0, 0
    folds = 0
    ahead = Options(options.fold_months, options.seasons, options.level, options.folds, options.fold_months)
    for fold in reversed(range(options.folds)):
        origin = len(known) - options.fold_months - fold
        # One season less than a model needs: short series are tested, too, and their verdict says on how few origins.
        if origin < max(least - options.fold_months, 2 * season):
            continue
        past, future = known[:origin], known[origin : origin + options.fold_months]
        scale = fmean([abs(now - then) for then, now in zip(past, past[season:], strict=False)])
        if not scale:
            continue
        path = how(past, season, ahead)
        folds += 1
        for actual, value, low, high in zip(future, path.values, path.lower, path.upper, strict=True):
            scaled.append(abs(actual - value) / scale)
            absolute += abs(actual - value)
            actuals += abs(actual)
            held += low <= actual <= high
    if not scaled:
        return UNTESTED
    return Accuracy(fmean(scaled), absolute / actuals if actuals else None, held / len(scaled), folds)


def _from_first(history: Sequence[float]) -> list[float]:
    """Months before anything happened say nothing."""
    first = next((at for at, value in enumerate(history) if value), len(history))
    return list(history[first:])


def _path(values: list[float], lower: list[float], upper: list[float]) -> Path:
    """What is sold is not negative."""
    return Path([max(v, 0.0) for v in values], [max(v, 0.0) for v in lower], [max(v, 0.0) for v in upper])
