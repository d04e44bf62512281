"""Which of many training recipes is the best, and what its figure is worth beyond being the best."""
