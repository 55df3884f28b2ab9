"""The parts of the gateway. `adapters/xnat_gateway.py` is its face; only `wire.py` imports xnat and requests."""
