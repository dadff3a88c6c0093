"""The organisation in memory: who belongs where, and who leads whom."""
