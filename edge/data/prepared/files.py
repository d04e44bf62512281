"""What a prepared set consists of, beside its class folders."""

from __future__ import annotations

FACTS = "set.json"
FOLDS, ITEMS = "lists/folds.csv", "lists/items.csv"  # beside the class folders a table would be one that nobody reads
PUBLISHED, SOUND = "as published", "sound"
