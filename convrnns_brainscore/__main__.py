"""``python -m convrnns_brainscore`` is the command ``convrnns``."""

from convrnns_brainscore.cli import main

if __name__ == "__main__":
    main()
