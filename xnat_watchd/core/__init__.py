"""What is true without touching anything: no clock, no disk, no network, no log."""
