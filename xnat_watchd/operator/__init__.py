"""What a person asks for by hand, beside the commands' own output: checks, logins, status, the prearchive of others."""
