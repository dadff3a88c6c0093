"""A service that is nothing but a courier: `python exercise.py`, named by EXERCISE_SERVICE."""

from __future__ import annotations

import os

from closedloop_chassis.courier import green

green.patch()

from closedloop_chassis import courier  # noqa: E402
from closedloop_chassis.settings import Settings  # noqa: E402

if __name__ == "__main__":
    courier.run(os.environ["EXERCISE_SERVICE"], os.environ.get("EXERCISE_PARTS", ""), Settings())
