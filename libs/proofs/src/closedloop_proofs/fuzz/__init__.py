"""Attack on request: what comes in is answered properly, or kept out, whoever sends whatever.

An attack is a module of `attacks/` with one function that takes the `Ground` it is fought on and answers `Finding`s.
`make fuzz` fights all of them for a given time; `make test` fights each for a moment.
"""
