"""One file for each piece of the world that we touch."""
