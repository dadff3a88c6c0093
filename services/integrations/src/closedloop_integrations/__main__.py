"""`python -m closedloop_integrations api | courier | migrate | reactor`."""

from closedloop_chassis.main import main


def run() -> None:
    main("closedloop_integrations")


if __name__ == "__main__":
    run()
