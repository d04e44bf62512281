"""dermedge: from photographs of skin lesions to the same answer on a phone, with the proof."""

__version__ = "0.1.0"
