"""Parameters: the technical facts of a customer that a quote hangs on."""
