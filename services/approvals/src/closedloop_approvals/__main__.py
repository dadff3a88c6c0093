"""`python -m closedloop_approvals api | courier | migrate | reactor`."""

from closedloop_chassis.main import main

from closedloop_approvals.service import SERVICE

if __name__ == "__main__":
    main(SERVICE)
