"""How the gate and abstention are measured: numbers first (choose, coverage), then pictures to try, then the page."""
