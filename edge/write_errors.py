"""A place that cannot be written, in words."""

from __future__ import annotations

import errno
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


def cannot_write(target: Path, error: OSError) -> str:
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    reason = "the disk is full" if full else (error.strerror or str(error))
    advice = "Free some space or choose" if full else "Choose"
    return f"cannot write {target}: {reason}. {advice} another place; nothing was left half-written."
