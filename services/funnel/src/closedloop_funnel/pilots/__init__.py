"""One or two bottlenecks chosen from the data, tried for a month, held against before and against others."""
