"""Core ML: torch.export through coremltools, measured 8 bits and palettes, audit."""
