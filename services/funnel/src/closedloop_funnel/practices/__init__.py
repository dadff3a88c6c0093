"""Best practice: mined from deals, told in cases, kept on cards, measured by adoption (S94, S96)."""
