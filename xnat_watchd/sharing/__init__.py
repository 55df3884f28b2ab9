"""Share tables made true on the server: the sweep over the folder, the rows of a table, the roles of users."""
