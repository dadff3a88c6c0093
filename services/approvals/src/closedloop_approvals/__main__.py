"""`python -m closedloop_approvals api | courier | migrate | reactor`."""

from closedloop_approvals.service import SERVICE
from closedloop_chassis.main import main

if __name__ == "__main__":
    main(SERVICE)
