"""The gRPC server of a service: its links stand in `chain.py`, one file each."""
