"""What every service of Closedloop shares. Start at `service.py`: it says what a service is made of."""
