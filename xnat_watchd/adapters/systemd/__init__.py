"""systemd: what it is told, its journal, and the files that make a service of the program."""
