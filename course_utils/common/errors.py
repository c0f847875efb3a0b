"""Error messages that name what came and suggest what was meant."""

import re
from collections.abc import Iterable
from difflib import get_close_matches


def unknown(argument: str, given: object, choices: Iterable[str], what: str = "") -> str:
    """The message for a name that is not among the accepted ones.

    Args:
        argument: the argument's name.
        given: what came.
        choices: the accepted names.
        what: what the names are, e.g. "layers of squeezenet1_1".

    Returns:
        One or two sentences: the argument, the value, near spellings, and the choices (at most 40).
    """
    names = [str(c) for c in choices]
    folded = {n.lower(): n for n in names}
    text = str(given).lower()
    near = [folded[n] for n in get_close_matches(text, folded, n=4, cutoff=0.6)]
    near += [n for n in names if text and text in n.lower() and n not in near][:4]
    meant = f" Did you mean {', '.join(repr(n) for n in near[:4])}?" if near else ""
    shown = ", ".join(names[:40]) + (f" ... ({len(names)} in all)" if len(names) > 40 else "")
    return f"{argument}={given!r} is not one of the {what or 'choices'}.{meant} Accepted: {shown}."


def said(error: BaseException) -> str:
    """An error in one line for the reader of a notebook; of memory that ended, what helps.

    Python's own error has no words there, PyTorch's has those of a C++ allocator.
    """
    words = str(error)
    if isinstance(error, MemoryError) or re.search(r"allocate memory|out of memory", words):
        asked = f" ({words})" if isinstance(error, MemoryError) and words else ""
        return (
            f"The memory is used up{asked}. Take a smaller picture, or close other programs and "
            "notebooks (menu Kernel, Shut Down All Kernels), and try again."
        )
    return f"{type(error).__name__}: {error}"
