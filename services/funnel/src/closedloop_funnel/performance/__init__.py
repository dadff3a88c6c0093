"""Process performance against benchmark and health, and dependence on stars."""
