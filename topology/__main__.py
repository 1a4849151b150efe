"""`python -m topology`: the command line, for where the console script is not on the path."""

from topology.cli import main

main()
