"""What people ask for by hand: checks, logins, the status, and what others put into the prearchive."""
