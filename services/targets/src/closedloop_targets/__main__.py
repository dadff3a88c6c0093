"""`python -m closedloop_targets api | courier | migrate | reactor`."""

from closedloop_chassis.main import main


def run() -> None:
    main("closedloop_targets")


if __name__ == "__main__":
    run()
