"""Every warning of the company on one page, whichever service raised it."""
