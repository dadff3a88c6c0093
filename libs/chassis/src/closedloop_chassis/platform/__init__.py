"""What every service serves besides its own: rulebooks, clocks, parked events, the audit trail, development time."""

from closedloop_chassis.calendar.business import CalendarRules
from closedloop_chassis.events.drain import ReactorRules
from closedloop_chassis.events.upkeep import RetentionRules
from closedloop_chassis.org.home import HomeRules
from closedloop_chassis.permissions import PermissionRules
from closedloop_chassis.platform import audit, clocks, development, events, rulebooks
from closedloop_chassis.service import Slice

SLICE = Slice(
    name="platform",
    rpcs=(rulebooks.rpcs, clocks.rpcs, events.rpcs, audit.rpcs),
    rules=(CalendarRules, HomeRules, PermissionRules, ReactorRules, RetentionRules),
)
DEVELOPMENT = Slice(name="development", rpcs=(development.rpcs,))
