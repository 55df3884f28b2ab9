"""systemd: notifications to it, its journal, and the files that make the program a service."""
