"""Where a file leaves the torch model: every layer against torch on the same inputs, and what its precision explains."""
