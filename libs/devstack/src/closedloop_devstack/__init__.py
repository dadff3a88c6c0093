"""The platform on one machine: servers out of wheels, ten supervised processes, keys, and the harness of the tests."""
