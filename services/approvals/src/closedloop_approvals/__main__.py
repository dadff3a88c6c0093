"""`python -m closedloop_approvals api | courier | migrate | reactor`."""

# First, whatever the alphabet says: a courier turns green before anything else is imported.
from closedloop_chassis.main import main  # isort: skip

from closedloop_approvals.service import SERVICE

if __name__ == "__main__":
    main(SERVICE)
