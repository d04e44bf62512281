"""Where the output of runtimes goes while a command runs them: they greet and warn on the terminal, also from C++."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from dermedge.console import third_party_noise_into

LOG = "runtime.log"


@contextmanager
def runtimes_quiet(folder: Path | None = None) -> Iterator[None]:
    """Their output goes to `<folder>/runtime.log`; nowhere if there is no such folder or it is read-only."""
    if folder is not None and folder.is_dir() and os.access(folder, os.W_OK):
        with third_party_noise_into(folder / LOG):
            yield
        return
    with TemporaryDirectory() as scratch, third_party_noise_into(Path(scratch) / LOG):
        yield
