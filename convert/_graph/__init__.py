"""From a module to an ATen graph, and the rewrites that every format shares."""
