"""Core AI (beta): torch.export through coreai-torch."""
