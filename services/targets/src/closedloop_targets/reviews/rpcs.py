"""The table of this slice's RPCs."""

from closedloop.targets.v1 import reviews_pb2 as _registers  # noqa: F401
from closedloop_chassis.service import Rpcs

rpcs = Rpcs("closedloop.targets.v1.ReviewService")
