"""How good a network is that was just trained, on patients that it never saw, and what it was taught with."""
