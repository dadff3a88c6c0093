"""What customers and visitors do on our pages, as other systems report it (S72)."""
