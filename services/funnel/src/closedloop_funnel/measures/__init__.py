"""The metrics by which management is judged, for people, teams and customers, over any stretches of time."""
