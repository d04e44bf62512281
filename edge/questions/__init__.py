"""What is asked of an exported model: each question measures and writes its JSON and pictures."""
