"""`python -m closedloop_approvals api | courier | migrate | reactor`."""

from closedloop_chassis.main import main


def run() -> None:
    main("closedloop_approvals")


if __name__ == "__main__":
    run()
