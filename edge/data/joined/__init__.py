"""One table of several data sets, in the classes of one of them."""
