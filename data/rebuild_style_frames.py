"""Paints the pictures of lecture 15's explorer again.

    python data/rebuild_style_frames.py [OUTPUT]

Ninety transfers of 50 evaluations at 176 pixels, about two minutes on an idle laptop. Another
machine rounds otherwise, so the pictures come out alike, not byte for byte.
"""

import sys
from pathlib import Path

from course_utils import models
from course_utils.widgets import style

if __name__ == "__main__":
    output = Path(sys.argv[1] if len(sys.argv) > 1 else f"build/{style.FILE}")
    output.parent.mkdir(parents=True, exist_ok=True)
    style.sheet_of(models.load("squeezenet1_1", "cpu")).save(output, quality=85, method=6)
    print(f"written: {output}")
