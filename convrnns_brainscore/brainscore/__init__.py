"""Brain-Score's side: its benchmarks, its experimental subjects and its scores.

Only this folder, the demonstration and the submission's probe import Brain-Score.
"""
