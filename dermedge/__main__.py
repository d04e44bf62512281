"""`python -m dermedge`: the same as the command `dermedge`."""

from __future__ import annotations

from dermedge.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
