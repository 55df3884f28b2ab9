"""Share tables: the sweep over their folder, applying their rows on XNAT, and tables of user roles."""
