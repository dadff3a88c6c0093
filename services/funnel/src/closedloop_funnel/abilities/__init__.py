"""The twelve abilities: each person's growth, each team's heat map (S52, S89)."""
