"""The decision a quote or a contract waits for, bound to exactly what was submitted."""
