"""The disk: our folders and their files, opened in a way that nobody else can redirect."""
