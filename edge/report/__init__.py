"""JSON -> one page, JUnit, plots. No arithmetic."""
