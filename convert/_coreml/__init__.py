"""Core ML packages: torch.export through coremltools, measured 8-bit activations, palettes, and the audit."""
