"""What makes releases of the sources: `python -m release`. No part of the program."""
