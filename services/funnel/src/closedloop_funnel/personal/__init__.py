"""What the funnel keeps of customers' people, and how it forgets them."""
