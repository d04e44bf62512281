"""Files on every runtime: do they open, and is the answer the same everywhere?"""
