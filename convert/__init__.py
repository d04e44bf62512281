"""Conversion: checkpoint -> files for phones, each judged before it is called good."""
