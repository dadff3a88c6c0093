"""Fields a company adds to its records, typed by the rulebook."""
