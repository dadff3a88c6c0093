"""What a service hears: applying the inbox, in order, once."""
