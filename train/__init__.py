"""Training and evaluation: photographs -> checkpoint."""
