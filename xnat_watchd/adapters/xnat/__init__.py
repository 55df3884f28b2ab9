"""XNAT over HTTP. `gateway` is the face of this package; only `transport` and `connection` import requests."""
