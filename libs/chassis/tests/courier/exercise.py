"""A service that is nothing but a courier: `python exercise.py courier`, named by EXERCISE_SERVICE."""

from __future__ import annotations

import os
from pathlib import Path

from closedloop_chassis.main import main  # isort: split

from closedloop_chassis.service import Service

if __name__ == "__main__":
    here = Path(__file__).parent
    main(
        Service(
            name=os.environ["EXERCISE_SERVICE"],
            package="",
            slices=(),
            migrations=here / "none",
            courier=os.environ.get("EXERCISE_PARTS", ""),
        )
    )
