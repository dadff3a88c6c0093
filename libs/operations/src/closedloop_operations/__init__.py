"""What platform teams run Closedloop by, made out of the contracts and the code; `python -m closedloop_operations`."""
