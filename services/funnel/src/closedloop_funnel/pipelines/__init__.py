"""The road of a deal: stages, evidence, reasons, as the rulebook has them."""
