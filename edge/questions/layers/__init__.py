"""Where a file leaves the torch model: each layer against torch on the same inputs, and what precision explains."""
