"""Build the zip for Brain-Score's leaderboard, and check one: see README.md beside this file."""

import sys

from convrnns_brainscore.cli import main

main(["submission", *(sys.argv[1:] or ["--help"])], program="python -m")
