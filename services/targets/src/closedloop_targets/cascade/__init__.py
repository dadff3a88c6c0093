"""From one target to everybody's weeks."""

from closedloop_chassis.service import Slice
from closedloop_targets.cascade import transfer_api
from closedloop_targets.cascade.api import rpcs
from closedloop_targets.cascade.rules import CascadeDefaults

SLICE = Slice(name="cascade", rpcs=(rpcs,), rules=(CascadeDefaults,))

__all__ = ["SLICE", "transfer_api"]
