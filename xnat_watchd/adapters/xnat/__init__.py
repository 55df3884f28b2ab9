"""XNAT over HTTP. `gateway` is what the rest of the program uses; commands also use `inspection` and `tokens`.

Only `transport` and `connection` import requests.
"""
