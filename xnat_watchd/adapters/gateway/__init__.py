"""The parts of the gateway, whose face is `adapters/xnat_gateway.py`. Only `wire` and `connection` import requests."""
