"""The disk: our folders and the files in them, opened so that nobody else can lead us elsewhere."""
