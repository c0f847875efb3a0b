"""The exact versions in `constraints.txt`: what the installed course needs, and nothing else."""

import re
from collections.abc import Iterator
from importlib import metadata
from itertools import product

from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = "seeing-what-cnns-see"
EXTRAS = ("lab", "test")
# Which of these builds torch brings is the package index's choice; pip finds the fitting ones.
_OF_TORCH = re.compile(r"^(nvidia|cuda|triton)(-|$)")
_PLATFORMS = {
    "linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    "darwin": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"},
    "win32": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
}
_PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def environments() -> dict[tuple[str, str], dict[str, str]]:
    """Marker environments of the systems and Python versions the course supports."""
    return {
        (platform, python): {
            **default_environment(),
            **_PLATFORMS[platform],
            "python_version": python,
            "python_full_version": f"{python}.0",
        }
        for platform, python in product(_PLATFORMS, _PYTHONS)
    }


def _wanted(requirement: Requirement, extras: frozenset[str], environment: dict[str, str]) -> bool:
    if requirement.marker is None:
        return True
    return any(requirement.marker.evaluate({**environment, "extra": e}) for e in (*extras, ""))


def _requirements(name: str) -> Iterator[Requirement]:
    try:
        yield from map(Requirement, metadata.requires(name) or ())
    except metadata.PackageNotFoundError:  # another system's package: its own needs are unknown
        return


def closure(environment: dict[str, str]) -> set[str]:
    """Names of everything `[lab,test]` brings in an environment, as far as installed here.

    Args:
        environment: marker variables, e.g. one of `environments()`.

    Returns:
        Canonical names, without the course itself and without torch's CUDA packages.
    """
    todo, seen = [(PROJECT, frozenset(EXTRAS))], set()
    while todo:
        name, extras = todo.pop()
        if (name, extras) in seen or _OF_TORCH.match(name):
            continue
        seen.add((name, extras))
        todo += [
            (canonicalize_name(r.name), frozenset(r.extras))
            for r in _requirements(name)
            if _wanted(r, extras, environment)
        ]
    return {name for name, _ in seen} - {PROJECT}


def marker(name: str, closures: dict[tuple[str, str], set[str]]) -> str:
    """The marker of one package: empty if it is needed everywhere, else the systems that need it.

    Args:
        name: canonical name.
        closures: `closure` of each of `environments()`.
    """
    systems = [s for s in _PLATFORMS if any(name in closures[s, p] for p in _PYTHONS)]
    if len(systems) == len(_PLATFORMS):
        return ""
    return " or ".join(f'sys_platform == "{system}"' for system in systems)


def read(text: str) -> dict[str, tuple[str, str]]:
    """Parse constraints: canonical name -> (version, marker).

    Args:
        text: what `constraints.txt` holds.

    Raises:
        ValueError: for a line that is not `name==version`, optionally with a marker.
    """
    found = {}
    for line in filter(None, (line.partition("#")[0].strip() for line in text.splitlines())):
        pin = Requirement(line)
        versions = [s.version for s in pin.specifier if s.operator == "=="]
        if pin.url or pin.extras or len(pin.specifier) != 1 or not versions:
            raise ValueError(f"not a pin of the form name==version: {line!r}")
        found[canonicalize_name(pin.name)] = (versions[0], str(pin.marker or ""))
    return found


def render(old: str) -> str:
    """New text for `constraints.txt` from the packages installed here.

    Args:
        old: the present text; its comments, and the versions of other systems' packages, stay.

    Raises:
        LookupError: for a package of another system that is neither installed nor pinned yet.
    """
    known = read(old)
    closures = {key: closure(environment) for key, environment in environments().items()}
    lines = [line for line in old.splitlines() if line.startswith("#")]
    for name in sorted(set().union(*closures.values())):
        try:
            version = Version(metadata.version(name)).public
        except metadata.PackageNotFoundError:
            if name not in known:
                raise LookupError(f"{name}: not installed here; add its version by hand") from None
            version = known[name][0]
        where = marker(name, closures)
        lines.append(f"{name}=={version}" + (f"; {Marker(where)}" if where else ""))
    return "\n".join(lines) + "\n"
