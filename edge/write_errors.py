"""A place that cannot be written, in words."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

WRITE_ERRORS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EFBIG,
    errno.ENOTDIR,
    errno.EIO,
}
FULL = (errno.ENOSPC, errno.EDQUOT)


def cannot_write(target: Path, error: OSError) -> str:
    reason = error.strerror or why(error)
    full = error.errno in FULL or any(os.strerror(number) in reason for number in FULL)
    if full:
        reason = "the disk is full"
    advice = "Free some space or choose" if full else "Choose"
    return f"cannot write {target}: {reason}. {advice} another place; nothing was left half-written."


def why(error: OSError) -> str:
    """The reason of an error without one of its own: that of the first file, where several were copied."""
    copied = error.args[0] if isinstance(error, shutil.Error) and error.args else None
    if isinstance(copied, list) and copied and isinstance(copied[0], tuple):
        return str(copied[0][-1])
    return str(error)
