"""Knowledge by customer type, industry and stage, found by words (S85)."""
