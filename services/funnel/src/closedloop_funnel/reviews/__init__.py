"""Reviews opened by rule: bursts of new opportunities."""
