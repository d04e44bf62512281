"""Every model by every recipe: files from the converters, times in one run, a table, a plot."""
