"""dermedge: from photographs of skin lesions to the same answer on a phone, with the proof."""

from edge import __version__

__all__ = ["__version__"]
