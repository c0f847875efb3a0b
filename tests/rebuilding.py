"""The scripts `data/rebuild_NAME.py` as modules; they lie beside the package, not in it."""

import importlib.util
from types import ModuleType

from course_utils.common import paths


def rebuild(name: str) -> ModuleType:
    """The script of that name, loaded anew."""
    path = paths.data(f"rebuild_{name}.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
