"""The funnel as it stood: a picture every morning, and what moved since."""
