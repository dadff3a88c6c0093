"""One whole turn of the loop on the real platform, told as a story: `python -m closedloop_devstack.demo`."""
