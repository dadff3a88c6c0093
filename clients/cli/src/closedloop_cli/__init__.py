"""The command line `closedloop`: what a person asks of the five services, through their public contract alone."""
