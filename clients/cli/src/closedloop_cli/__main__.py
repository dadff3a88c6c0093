"""`python -m closedloop_cli`, where the script is not installed."""

from closedloop_cli.main import main

main()
