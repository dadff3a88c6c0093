"""The company's fiscal calendar."""

from closedloop_chassis.service import Slice
from closedloop_targets.periods.api import rpcs
from closedloop_targets.periods.rules import FiscalCalendar

SLICE = Slice(name="periods", rpcs=(rpcs,), rules=(FiscalCalendar,))
