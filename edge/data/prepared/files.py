"""What a prepared set consists of, beside its class folders."""

from __future__ import annotations

FACTS = "set.json"
FOLDS, ITEMS = "lists/folds.csv", "lists/items.csv"  # beside the class folders a table would be one that nobody reads
NAMES = "lists/also_known_as.csv"  # what the sets that the photographs are from call them and their patients
PUBLISHED, SOUND = "as published", "sound"
