"""`python -m closedloop_customers api | courier | migrate | reactor`."""

from closedloop_chassis.main import main


def run() -> None:
    main("closedloop_customers")


if __name__ == "__main__":
    run()
