"""``python -m submission``: the same as ``convrnns submission``, from a clone of the repository."""
