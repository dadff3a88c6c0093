"""What a person's figures come to, and the record that is kept of them."""

from closedloop_chassis.service import Slice
from closedloop_targets.appraisals.api import rpcs
from closedloop_targets.appraisals.rules import AppraisalRules

SLICE = Slice(name="appraisals", rpcs=(rpcs,), rules=(AppraisalRules,))
