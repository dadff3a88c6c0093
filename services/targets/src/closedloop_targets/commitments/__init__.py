"""What people promise to bring in the next two weeks."""

from closedloop_chassis.service import Slice
from closedloop_targets.commitments.api import rpcs

SLICE = Slice(name="commitments", rpcs=(rpcs,))
