"""The service as systemd runs it: the files that a machine needs, and how they come to their places."""
