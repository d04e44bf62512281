"""Random forests of scikit-learn, grown by several threads without the noise that these make."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

EXPECTED = (
    "The least populated class",  # fewer photographs than folds: the folds are as even as they can be
    "`sklearn.utils.parallel.delayed` should be used",  # said of scikit-learn's own forests
)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back what scikit-learn says of forests that is EXPECTED; every other warning is given after the block.

    Its threads set the filters of warnings, which are the whole process's, and undo one another's: a filter would not
    hold, and thousands of the same line come where two threads meet in that.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if not str(warning.message).startswith(EXPECTED):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
