"""What the figures of a service mean, whose they are, which rows make them, and how far they can be believed (S79, S80, S83)."""
