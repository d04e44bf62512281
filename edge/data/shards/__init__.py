"""Sets of photographs packed in shards, for sets larger than memory or of more files than a disk likes."""
