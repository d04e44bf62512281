"""Measurements on this machine; run from a clone, not part of the wheel."""
