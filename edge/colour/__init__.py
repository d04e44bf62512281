"""The colour space that a photograph states, in whatever way its format knows, and its conversion to sRGB."""

from __future__ import annotations

from .convert import changes, to_srgb
from .stated import refuse_unknown_codes, stated_profile

__all__ = ["changes", "refuse_unknown_codes", "stated_profile", "to_srgb"]
