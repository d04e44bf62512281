"""`python convert/to_onnx.py` from a clone: the command `dermedge to-onnx` of `dermedge/commands/`."""

from __future__ import annotations

if not __package__:  # started as a file: find the clone that it lies in
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from dermedge.commands.to_onnx import main

if __name__ == "__main__":
    raise SystemExit(main())
