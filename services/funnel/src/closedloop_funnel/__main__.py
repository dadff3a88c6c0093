"""`python -m closedloop_funnel api | courier | migrate | reactor`."""

from closedloop_chassis.main import main
from closedloop_funnel.service import SERVICE

if __name__ == "__main__":
    main(SERVICE)
