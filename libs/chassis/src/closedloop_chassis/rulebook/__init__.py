"""Typed, versioned, effective-dated settings: the numbers of the business."""
