"""The smallest service a supervisor can tell from a real one."""
