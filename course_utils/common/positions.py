"""Where explorers and the pages made of them meet: what a kernel is asked for, and how it answers.

`widgets/kit/positions.py` fills it, `commands/html` draws it.
"""

import os

VARIABLE = "COURSE_POSITIONS"
"""Set for a kernel whose explorers put their positions beside their static picture."""

MIME = "application/vnd.course.positions+json"
"""The kind of output that they are."""


def wanted() -> bool:
    """Whether this kernel runs for a page, where nobody will move a control or solve anything."""
    return bool(os.environ.get(VARIABLE))
