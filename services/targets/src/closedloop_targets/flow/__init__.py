"""One target as one flow: what the other slices know of it, together. It has no tables of its own."""

from closedloop_chassis.service import Slice
from closedloop_targets.flow import api

# Its RPC belongs to the board service, whose table registers it.
SLICE = Slice(name="flow")

__all__ = ["SLICE", "api"]
