"""Symbolic links to where a file shall be written: followed where they are ours, and not where a stranger put them.

Whoever may write to the folder, as everybody may to /tmp, could else have us write to, or replace, whatever file of
ours they name. Linux keeps that rule for what it opens itself (`protected_symlinks` in proc(5)); we look links up
ourselves, to put the new file beside the old one.
"""

import os
from pathlib import Path

from likewise.errors import BadFile

LINKS_MAX = 40
"""Of one path, as many as Linux follows."""


def followed(path: Path) -> Path:
    """Return where a file of this name is, or would be; raise `BadFile` for a link of a stranger, `OSError`."""
    given = path = path.absolute()
    for _ in range(LINKS_MAX + 1):
        if not path.is_symlink():
            return path
        if is_strangers(path):
            raise BadFile(f"{path} is a link that somebody else has put there", "give another name, or remove the link")
        path = path.parent / path.readlink()
    raise BadFile(f"{given} is a link that leads nowhere", "give another name")


def is_strangers(path: Path) -> bool:
    """Say whether this very name belongs neither to us nor to whoever has the folder, nor to root."""
    return path.lstat().st_uid not in {0, os.geteuid(), path.parent.stat().st_uid}
