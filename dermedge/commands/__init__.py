"""The commands that belong to no other room. Thin: flags in, one call, a table out."""
