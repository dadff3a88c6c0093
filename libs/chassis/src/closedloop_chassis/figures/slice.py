"""The room as every service has it."""

from closedloop_chassis.figures import catalogue, credibility, daily, health, tracing
from closedloop_chassis.service import Slice

SLICE = Slice("figures", (catalogue.rpcs, tracing.rpcs, health.rpcs, credibility.rpcs), daily.reactions)
