"""Parity: is the file's answer the model's answer? Arrays -> numbers -> verdicts; then pages that do no arithmetic."""
