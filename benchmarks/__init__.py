"""How fast the program is, each figure beside a reference that is measured in the same run: `python -m benchmarks`."""
