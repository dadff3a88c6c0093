"""Like echo."""

from __future__ import annotations

from closedloop_echo.__main__ import main  # type: ignore[import-not-found]

if __name__ == "__main__":
    main("ping")
