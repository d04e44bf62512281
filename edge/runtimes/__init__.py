"""Runtimes: each opens a file (or a checkpoint), runs uint8 squares and gives probabilities.

`run(images_u8)` takes uint8 (N, S, S, 3) RGB and returns float64 (N, K); `close()` frees what it holds.
"""
