"""Quality: whether what we hold of a customer is still true, in lights that a person can put out."""
