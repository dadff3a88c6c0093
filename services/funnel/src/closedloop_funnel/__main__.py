"""`python -m closedloop_funnel api | courier | migrate | reactor`."""

from closedloop_chassis.main import main


def run() -> None:
    main("closedloop_funnel")


if __name__ == "__main__":
    run()
