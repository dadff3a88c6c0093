"""Decision chain: the people who decide at the customer, what moves them, who can take us to them, and the visit brief."""
