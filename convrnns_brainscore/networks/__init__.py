"""The networks: layers as data, cells, decoders, and how they unroll in time.

Nothing here knows checkpoints, files or Brain-Score.
"""
