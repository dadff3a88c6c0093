"""`python -m closedloop_customers api | courier | migrate | reactor`."""

from closedloop_chassis.main import main
from closedloop_customers.service import SERVICE


def run() -> None:
    main(SERVICE)


if __name__ == "__main__":
    run()
