"""What targets is made of."""

from pathlib import Path

from closedloop_chassis.service import Service
from closedloop_targets import (
    actions,
    actuals,
    alarms,
    alignment,
    appraisals,
    boards,
    cascade,
    commitments,
    figures,
    flow,
    forecasts,
    metrics,
    org,
    periods,
    plans,
    products,
    rates,
    reviews,
)

SERVICE = Service(
    name="targets",
    package="closedloop.targets.v1",
    slices=(
        org.SLICE,
        products.SLICE,
        periods.SLICE,
        metrics.SLICE,
        figures.SLICE,
        plans.SLICE,
        cascade.SLICE,
        commitments.SLICE,
        actuals.SLICE,
        boards.SLICE,
        alarms.SLICE,
        actions.SLICE,
        appraisals.SLICE,
        rates.SLICE,
        forecasts.SLICE,
        alignment.SLICE,
        reviews.SLICE,
        flow.SLICE,
    ),
    migrations=Path(__file__).parent / "migrations",
)
