"""The funnel live: changes as they happen, to any number of clients."""
