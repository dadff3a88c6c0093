"""Two-week drills on objections and closing, graded (S91)."""
