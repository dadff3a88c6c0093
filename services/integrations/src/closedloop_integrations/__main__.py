"""`python -m closedloop_integrations api | courier | migrate | reactor`."""

from closedloop_chassis.main import main
from closedloop_integrations.service import SERVICE


def run() -> None:
    main(SERVICE)


if __name__ == "__main__":
    run()
