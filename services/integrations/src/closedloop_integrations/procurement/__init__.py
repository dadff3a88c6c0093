"""Government procurement: notices are read from the sites and matched with customers and sectors."""
