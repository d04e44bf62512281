"""Arrays -> numbers, intervals, verdicts. Pure: NumPy and SciPy, no files, no screen."""
