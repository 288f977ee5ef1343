"""``python -m convrnns_brainscore.cli``."""

from convrnns_brainscore.cli import main

main()
