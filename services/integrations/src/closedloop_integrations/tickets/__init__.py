"""Service tickets of the support system, copied by webhook or rows; told when they change (S72)."""
