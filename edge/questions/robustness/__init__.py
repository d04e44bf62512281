"""Photographs made worse on purpose, and what that costs the float model and each quantised file."""
