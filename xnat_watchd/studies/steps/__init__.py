"""The three steps of a study. Each finds out what is true, does what is missing and returns the facts that prove it."""
