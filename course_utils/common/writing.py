"""Files that are written whole or not at all."""

import os
import tempfile
from pathlib import Path


def replace(target: Path, text: str, private: bool = False) -> Path:
    """Puts a text in a file's place: there is the old file or the new one, never half.

    The text is on the disk before it gets the file's name, so that this holds for a power cut too.
    Lines end as in `text` on every system. Lone surrogates, which JSON texts may hold, become the
    escapes that JSON has for them.

    Args:
        target: the file; its folder is made if need be.
        text: its new content.
        private: whether only its owner may read it.

    Returns:
        The file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(handle)
        os.chmod(temporary, 0o600 if private else 0o644)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target
