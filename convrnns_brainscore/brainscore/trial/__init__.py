"""Every registered benchmark of Brain-Score, run with a model on a few synthetic stimuli.

`sweep.sweep` runs them, `data.made_data` makes what Brain-Score would load, and `families` knows
what each benchmark expects. The package imports nothing else of this project, so that it also runs
in the environment of a submission, where the model is the plugin's.
"""

SCORES, INCONCLUSIVE = "scores", "inconclusive"
FAILS_FOR_ALL, FAILS = "fails for all models", "fails for the ConvRNN"
"""Outcomes of a trial. Inconclusive: the benchmark never called the model."""
