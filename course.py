#!/usr/bin/env python3
"""Start the course with nothing but Python: the first call sets it up, later calls are instant.

    python course.py lab                 open the notebooks in JupyterLab
    python course.py test [--quick]      check the whole course
    python course.py bench               time it beside other libraries, in its own environment
    python course.py VERB --help         what a verb can do
    python course.py VERB -- OPTIONS     give pip options of your own at the first call

Everything is installed into the folder .venv beside this file (for bench: .venv-bench). To start
afresh, delete it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BENCH = ROOT / ".venv-bench"  # with other people's libraries, which must not reach .venv
PEERS = Path("course_utils", "bench", "peers.txt")
MARKER = "course.json"
LOG = "course-install.log"
# Every other verb needs only lab; "peers" are the packages of PEERS, no extra of the project.
EXTRAS = {"test": ("lab", "test"), "pins": ("lab", "test"), "bench": ("peers",)}
# Gigabytes of the download and of .venv afterwards; elsewhere PyTorch comes without CUDA.
SIZES = {"Linux": (3.3, 6.8)}
ELSEWHERE = (0.5, 1.8)
NETWORK = re.compile(
    r"Retry\(total=0|Max retries exceeded|NewConnectionError|NameResolutionError|getaddrinfo"
    r"|Temporary failure in name resolution|Network is unreachable|Connection(Reset|Refused)Error"
    r"|ConnectTimeout|ReadTimeout|ProxyError|IncompleteRead|Connection broken"
)
NO_SPACE = re.compile(r"No space left on device|Errno 28|WinError 112|Disk quota exceeded")


class SetupError(Exception):
    """Setting up cannot go on; the message says why and what to do."""


def too_old(version):
    """The message for a Python that is too old, or None if it will do.

    Args:
        version: as `sys.version_info`.
    """
    if tuple(version[:2]) >= OLDEST:
        return None
    return "The course needs Python {}.{} or newer, this is {} ({}).".format(
        OLDEST[0], OLDEST[1], ".".join(str(part) for part in version[:3]), sys.executable
    )


# --- The environment's state -------------------------------------------------------------------


def venv_python(venv: Path) -> Path:
    """The Python of a virtual environment."""
    return venv / "Scripts" / "python.exe" if os.name == "nt" else venv / "bin" / "python"


def site_packages(venv: Path) -> list[Path]:
    """The folders packages are installed into (one, unless the environment is damaged)."""
    pattern = "Lib/site-packages" if os.name == "nt" else "lib/python3.*/site-packages"
    return sorted(venv.glob(pattern))


def fingerprint(root: Path, extras: Iterable[str] = ()) -> str:
    """Changes exactly when something else would have to be installed."""
    import tomllib

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    keys = ("dependencies", "optional-dependencies", "scripts", "requires-python")
    wanted = json.dumps({key: project.get(key) for key in keys}, sort_keys=True)
    constraints = (root / "constraints.txt").read_text(encoding="utf-8")
    peers = (root / PEERS).read_text(encoding="utf-8") if "peers" in extras else ""
    return hashlib.sha256((wanted + constraints + peers).encode()).hexdigest()


def base_python(venv: Path) -> str:
    """What the environment's Python really is; empty if it has vanished."""
    python = venv_python(venv)
    if not python.exists():  # false too for a link whose target is gone
        return ""
    match = re.search(r"(?m)^home\s*=\s*(.+)$", _read(venv / "pyvenv.cfg"))
    home = match.group(1).strip() if match else ""
    return os.path.realpath(python) if home and os.path.isdir(home) else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def read_marker(venv: Path) -> dict:
    """What the last finished set-up wrote; empty if none finished."""
    try:
        marker = json.loads(_read(venv / MARKER))
    except ValueError:
        return {}
    return marker if isinstance(marker, dict) else {}


def write_marker(root: Path, venv: Path, extras: set[str]) -> None:
    """Record a finished set-up, whole or not at all."""
    marker = {
        "fingerprint": fingerprint(root, extras),
        "extras": sorted(extras),
        "root": str(root),
        "python": base_python(venv),
    }
    temporary = venv / (MARKER + ".tmp")
    temporary.write_text(json.dumps(marker, indent=1), encoding="utf-8")
    os.replace(temporary, venv / MARKER)


def diagnose(root: Path, venv: Path, extras: set[str]) -> str:
    """Why there is something to do: one of the keys of `REASONS`; empty if ready."""
    if not venv.exists() and not venv.is_symlink():
        return "missing"
    marker = read_marker(venv)
    if not base_python(venv) or marker.get("python", base_python(venv)) != base_python(venv):
        return "python"
    if not marker:
        return "unfinished"
    if marker.get("root") != str(root):
        return "moved"
    had = set(marker.get("extras", ()))
    if marker.get("fingerprint") != fingerprint(root, had | extras) or extras - had:
        return "outdated"
    return ""


# --- Repairs -----------------------------------------------------------------------------------


def child_environment(venv: Path) -> dict[str, str]:
    """The variables for child processes: this environment's programs first, no foreign packages."""
    foreign = ("PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__")
    environment = {key: value for key, value in os.environ.items() if key not in foreign}
    programs = str(venv_python(venv).parent)
    path = environment.get("PATH", "")
    environment.update(VIRTUAL_ENV=str(venv), PATH=os.pathsep.join([programs, path]))
    return environment


def answers(venv: Path, code: str) -> str | None:
    """What the environment's Python prints for some code, or None if it fails."""
    command = [str(venv_python(venv)), "-P", "-c", code]
    try:
        done = subprocess.run(
            command, env=child_environment(venv), capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def works(venv: Path) -> bool:
    """Whether an unfinished environment can be gone on with: its Python and its pip run."""
    code = f"import pip, sys; print(sys.version_info >= {OLDEST})"
    return answers(venv, code) == "True"


def loads(extras: Iterable[str]) -> str:
    """Python code that imports the big packages."""
    return "import torch, torchvision" + ", jupyterlab, ipywidgets" * ("lab" in extras)


def installed(root: Path, venv: Path, extras: Iterable[str]) -> bool:
    """Whether the big packages load, and the course is the one in this folder."""
    found = answers(venv, loads(extras) + ", course_utils as c; print(c.__file__)")
    return found is not None and Path(found).resolve().parent.parent == root


def relocate(venv: Path, old: str, new: str) -> None:
    """Replace the project folder's old path by the new one in the environment's small files."""
    pairs = [
        (old, new),
        (old.replace("\\", "\\\\"), new.replace("\\", "\\\\")),
        (Path(old).as_uri(), Path(new).as_uri()),
    ]
    files = list(venv_python(venv).parent.iterdir()) + [venv / "pyvenv.cfg"]
    for folder in site_packages(venv):
        files += [*folder.glob("__editable__*"), *folder.glob("*.dist-info/direct_url.json")]
    for file in files:
        if file.is_symlink() or not file.is_file() or file.stat().st_size > 1_000_000:
            continue
        before = after = file.read_bytes()
        for was, becomes in pairs:
            after = after.replace(was.encode(), becomes.encode())
        if after != before:
            file.write_bytes(after)


def drop_half_installed(venv: Path) -> list[str]:
    """Forget packages whose installation was cut off, so that pip installs them again."""
    dropped = []
    for folder in site_packages(venv):
        for info in folder.glob("*.dist-info"):
            if "/INSTALLER," not in _read(info / "RECORD").replace("\\", "/"):
                shutil.rmtree(info)
                dropped.append(info.name)
    return dropped


def make_venv(venv: Path) -> None:
    """Make the environment anew, removing what is left of an old one."""
    if venv.is_symlink():
        raise SetupError(f"{venv} is a link to an environment that does not work; remove the link.")
    if venv.exists():
        shutil.rmtree(venv)
    # Inside another virtual environment: build on the Python below it, which outlives it.
    python = getattr(sys, "_base_executable", None) or sys.executable
    done = subprocess.run([python, "-m", "venv", str(venv)], capture_output=True, text=True)
    said = done.stdout + done.stderr
    if done.returncode and "ensurepip" in said:
        version = "{}.{}".format(*sys.version_info[:2])
        raise SetupError(
            f"This Python has no venv module with pip. On Debian or Ubuntu: "
            f"sudo apt install python{version}-venv\nThen run the same command again."
        )
    if done.returncode:
        raise SetupError(f"The environment {venv} could not be made:\n{said.strip()}")


# --- Disk --------------------------------------------------------------------------------------


def sizes(system: str) -> tuple[float, float]:
    """Gigabytes to download and gigabytes installed, for `platform.system()`."""
    return SIZES.get(system, ELSEWHERE)


def folder_size(folder: Path) -> float:
    """Gigabytes in a folder."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            total += os.lstat(os.path.join(where, name)).st_size
    return total / 1e9


def cache_folder() -> Path:
    """Where pip keeps downloads, unless its configuration file says otherwise."""
    if os.environ.get("PIP_CACHE_DIR"):
        return Path(os.environ["PIP_CACHE_DIR"])
    home = Path.home()
    if platform.system() == "Windows":
        return Path(os.environ.get("LOCALAPPDATA", home)) / "pip"
    if platform.system() == "Darwin":
        return home / "Library" / "Caches" / "pip"
    return Path(os.environ.get("XDG_CACHE_HOME", home / ".cache")) / "pip"


def existing(path: Path) -> Path:
    """The path itself or the nearest parent that exists."""
    return next(p for p in [path, *path.parents] if p.exists())


def shortage(needs: list[tuple[Path, float]]) -> str:
    """What is missing where, in words; empty if everything fits.

    Args:
        needs: folders, existing or not, with the gigabytes each will get.
    """
    disks: dict[int, tuple[Path, float]] = {}
    for folder, need in needs:
        place = existing(folder)
        device = place.stat().st_dev
        first, sum_ = disks.get(device, (place, 0.0))
        disks[device] = (first, sum_ + need)
    said = []
    for place, need in disks.values():
        free = shutil.disk_usage(place).free / 1e9
        if free < need:
            said.append(f"about {need:.1f} GB needed on the disk of {place}, {free:.1f} GB free")
    return "; ".join(said)


def disk_options(venv: Path) -> list[str]:
    """Check that the installation fits; extra pip options if it does only without pip's cache."""
    download, disk = sizes(platform.system())
    missing = max(0.3, disk - (folder_size(venv) if venv.exists() else 0.0))
    fetched = download * missing / disk
    needs = [(venv, missing), (Path(tempfile.gettempdir()), fetched)]
    if not shortage([*needs, (cache_folder(), fetched)]):
        return []
    short = shortage(needs)
    if short:
        raise SetupError(
            f"Too little disk space: {short}.\n"
            "Make room, or move the course's folder to a larger disk, and run the same command "
            "again. Temporary files can go elsewhere: set TMPDIR (TEMP on Windows)."
        )
    return ["--no-cache-dir"]


# --- Installation ------------------------------------------------------------------------------


class Progress:
    """Turns pip's output into a readable line per phase and keeps its error messages."""

    def __init__(self, out=None):
        self.out = out or sys.stdout
        self.phase, self.retried = 0, False
        self.errors: list[str] = []

    def _say(self, phase: int, text: str) -> None:
        if self.phase < phase:
            self.phase = phase
            print(f"  {phase}/3 {text}", file=self.out, flush=True)

    def line(self, line: str) -> None:
        """Take one line of pip's output."""
        text = line.strip()
        fetch = re.match(r"Downloading (?:\S*/)?(\S+?)(?:\.metadata)? \(([\d.]+) ([kMG])B\)", text)
        if text.startswith(("Obtaining ", "Collecting ")):
            self._say(1, "finding the packages")
        elif fetch:
            self._downloading(*fetch.groups())
        elif text.startswith("Progress "):
            self._progress(text)
        elif text.startswith("Installing collected packages:"):
            count = text.count(",") + 1
            self._say(3, f"unpacking {count} packages, which can take minutes")
        elif "Retrying (" in text and not self.retried:
            self.retried = True
            print("      the network does not answer, trying again ...", file=self.out, flush=True)
        elif text.lower().startswith(("error", "× ")):
            self.errors.append(text)

    def _downloading(self, file: str, number: str, unit: str) -> None:
        megabytes = float(number) * {"k": 0.001, "M": 1, "G": 1000}[unit]
        if megabytes >= 20:  # the others are there before one has read their names
            self._say(2, "downloading; the big ones are")
            name = "-".join(file.split("-")[:2])
            print(f"      {name} {megabytes:.0f} MB", file=self.out, flush=True)

    def _progress(self, text: str) -> None:
        numbers = [int(word) for word in text.split() if word.isdigit()]
        if len(numbers) == 2 and numbers[1] > 20e6 and self.out.isatty():
            end = "\n" if numbers[0] >= numbers[1] else ""
            share = 100 * numbers[0] / numbers[1]
            print(f"\r        {share:3.0f} %", end=end, file=self.out, flush=True)


def explain(output: str, log: Path) -> str:
    """Why pip failed, in one message, from what it printed."""
    if NO_SPACE.search(output):
        return "The disk is full. Make room and run the same command again: it goes on from here."
    if NETWORK.search(output):
        return (
            "No network, or none that reaches the package index: the first call has to download "
            f"about {sizes(platform.system())[0]:g} GB.\nConnect (behind a proxy: set HTTPS_PROXY) "
            "and run the same command again: it goes on from here.\nLater calls need no network."
        )
    missing = re.search(r"No matching distribution found for (\S+)", output)
    if missing:
        return (
            f"The package index has no {missing.group(1)} for Python {platform.python_version()} "
            f"on {platform.system()} {platform.machine()}.\nPyTorch needs a 64-bit Python that is "
            "not brand-new, and on a Mac an Apple processor. Try another Python, e.g. 3.12."
        )
    return f"pip could not install the packages; its messages are above, all of them in {log}"


def progress_option(venv: Path) -> str:
    """pip can report progress line by line from 24.1 on."""
    for folder in site_packages(venv):
        for info in folder.glob("pip-*.dist-info"):
            numbers = re.findall(r"\d+", info.name)
            if [int(n) for n in numbers[:2]] >= [24, 1]:
                return "raw"
    return "off"


def pip_install(root: Path, venv: Path, extras: set[str], options: list[str]) -> None:
    """Install the course with its exact versions into the environment, and the peers if wanted.

    Raises:
        SetupError: if pip fails; says why as far as its output tells.
    """
    names = ",".join(sorted(extras - {"peers"}))
    run_pip(root, venv, ["-e", f"{root}[{names}]" if names else str(root), *options])
    if "peers" in extras:
        # Without their dependencies: no peer can replace the course's torch by an older one.
        run_pip(root, venv, ["--no-deps", "-r", str(root / PEERS), *options])


def run_pip(root: Path, venv: Path, arguments: list[str]) -> None:
    """One `pip install` within the constraints, its progress shown; raises as `pip_install`."""
    command = [str(venv_python(venv)), "-m", "pip", "install", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar", progress_option(venv)]
    command += ["-c", str(root / "constraints.txt"), *arguments]
    environment = child_environment(venv)
    environment.update(PYTHONUNBUFFERED="1", PYTHONIOENCODING="utf-8")
    progress, lines = Progress(), []
    pipe = subprocess.PIPE
    with open(venv / LOG, "a", encoding="utf-8") as log, subprocess.Popen(
        command, env=environment, cwd=root, stdin=subprocess.DEVNULL,
        stdout=pipe, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace",
    ) as pip:  # fmt: skip
        for line in pip.stdout:
            log.write(line)
            if not line.startswith("Progress "):
                lines.append(line)
            progress.line(line)
    said = "".join(lines)
    if not (pip.returncode and (NETWORK.search(said) or NO_SPACE.search(said))):
        print(*progress.errors, sep="\n", end="\n" * bool(progress.errors), file=sys.stderr)
    if pip.returncode:  # without a network pip blames the versions; that would mislead
        raise SetupError(explain(said, venv / LOG))


REASONS = {
    "missing": "The first call sets the course up in {venv}",
    "unfinished": "An earlier set-up was interrupted; going on in {venv}",
    "python": "The Python below {venv} has gone or changed; making the environment anew",
    "moved": "The course's folder has moved; adapting {venv}",
    "outdated": "The course needs other packages than before; updating {venv}",
}


def announce(reason: str, venv: Path) -> None:
    """Say beforehand what will be done, how much it downloads and where it goes."""
    download, disk = sizes(platform.system())
    print(REASONS[reason].format(venv=venv))
    print(f"  with Python {platform.python_version()}, exact versions from constraints.txt")
    if reason != "outdated":
        cuda = ", which brings CUDA on Linux" if platform.system() == "Linux" else ""
        print(f"  download about {download:g} GB, on disk {disk:g} GB; most is PyTorch{cuda}")
    print("  Interrupting is safe: the same command goes on later.", flush=True)


def set_up(root: Path, venv: Path, extras: set[str], options: list[str]) -> None:
    """Bring the environment to the wanted state, from whatever state it is in."""
    reason = diagnose(root, venv, extras)
    if reason == "moved":
        relocate(venv, read_marker(venv)["root"], str(root))
        if installed(root, venv, extras):
            print(REASONS[reason].format(venv=venv))
            write_marker(root, venv, set(read_marker(venv)["extras"]))
            reason = diagnose(root, venv, extras)
    if not reason:
        return
    announce(reason, venv)
    extras = extras | set(read_marker(venv).get("extras", ()))
    extra_options = disk_options(venv)
    fresh = reason in ("missing", "python") or not works(venv)
    if fresh:
        make_venv(venv)
    (venv / MARKER).unlink(missing_ok=True)
    (venv / LOG).unlink(missing_ok=True)
    drop_half_installed(venv)
    pip_install(root, venv, extras, extra_options + options)
    if not installed(root, venv, extras) and not fresh:
        print("Some packages are damaged; making the environment anew.", flush=True)
        make_venv(venv)
        pip_install(root, venv, extras, extra_options + options)
    if not installed(root, venv, extras):
        raise SetupError(
            f"The packages are installed but do not load: see {venv / LOG}, or try\n"
            f'  {venv_python(venv)} -c "{loads(extras)}"'
        )
    write_marker(root, venv, extras)
    print("The course is set up; from now on it needs no network.", flush=True)


# --- Handing over ------------------------------------------------------------------------------


def run(command: list[str], environment: dict[str, str]) -> int:
    """Run a child process to its end, passing interruptions on; its exit code."""
    child = subprocess.Popen(command, env=environment)

    def pass_on(number, frame):
        # A terminal sends Ctrl-C to the child itself; twice would cut short its tidying up.
        from_terminal = number == signal.SIGINT and sys.stdin is not None and sys.stdin.isatty()
        if os.name != "nt" and not from_terminal:
            child.send_signal(number)

    before = {n: signal.signal(n, pass_on) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 - code if code < 0 else code


def main(arguments: list[str]) -> int:
    """Set up if need be, then hand the verb to the course's own command; the exit code."""
    message = too_old(sys.version_info)
    if message:
        print(message, file=sys.stderr)
        return 1
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    verb, options = arguments[:cut], arguments[cut + 1 :]
    if not verb or verb[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if verb else 2
    venv = BENCH if verb[0] == "bench" else VENV
    try:
        set_up(ROOT, venv, set(EXTRAS.get(verb[0], ("lab",))), options)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"Setting up failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted; the same command goes on from here.", file=sys.stderr)
        return 130
    command = [str(venv_python(venv)), "-P", "-m", "course_utils.commands.cli", *verb]
    return run(command, child_environment(venv))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
