"""What the funnel keeps of other services: accounts, products, rates."""
