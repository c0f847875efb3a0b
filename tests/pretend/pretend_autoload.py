"""PyTorch's entry point: the pretend accelerator is there where it is asked for, and only there."""

import os


def load() -> None:
    """Called by `import torch` in every process that has this folder on its path."""
    if os.environ.get("COURSE_DEVICE", "").strip().lower() == "pretend":
        import pretend_device  # noqa: F401, registers itself
