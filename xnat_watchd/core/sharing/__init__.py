"""Pure rules of share tables: what a table asks for, what is missing, and what became of each row."""
