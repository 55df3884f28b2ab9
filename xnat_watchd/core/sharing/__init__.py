"""Share tables without touching anything: what a table asks for, what is missing, and what became of each row."""
