#!/usr/bin/env python3
"""Start the course with nothing but Python: the first call sets it up, later calls are instant.

    python course.py lab                 open the notebooks in JupyterLab
    python course.py test [--quick]      check the whole course
    python course.py html                write the course as pages for any browser
    python course.py bench               time it beside other libraries, in its own environment
    python course.py VERB --help         what a verb can do
    python course.py VERB -- OPTIONS     give pip options of your own at the first call

(python3 on Linux and macOS, py on Windows, where python is missing or another one.)

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
LOG, DETAILS = "course-install.log", "pip-details.log"
# Every other verb needs only lab; "peers" are the packages of PEERS, no extra of the project.
EXTRAS = {
    **{"test": ("lab", "test"), "pins": ("lab", "test")},
    **{"html": ("lab", "site"), "bench": ("peers",)},
}
# Gigabytes of the download and of .venv afterwards; elsewhere PyTorch comes without CUDA.
SIZES = {"Linux": (3.3, 6.8)}
ELSEWHERE = (0.5, 1.8)
# Where builds without CUDA come from is the user's to say; elsewhere they are the usual ones.
CPU_OPTION = "--extra-index-url INDEX"
CPU_PLACE = "INDEX: the address that PyTorch's page 'Get started' gives for Linux, Pip, CPU"
# The longest path below Lib/site-packages, and what Windows takes where long paths are off.
LONGEST, WINDOWS_PATH = 137, 259
# Settings of pip that put packages elsewhere, or nowhere: wrong in an environment of one's own.
REDIRECTING = ("user", "target", "prefix", "root", "python", "dry-run", "no-deps")

AGAIN = "run the same command again: it goes on from here"
# What pip says (the first match counts), and what it means. {index} is where pip looked.
FAILURES = [
    (
        r"No space left on device|Errno 28|WinError 112|Disk quota exceeded",
        f"The disk is full. Make room and {AGAIN}.",
    ),
    (
        r"Windows Long Path",
        "The paths get too long for this Windows. Move the course to a folder nearer to the disk's "
        f"root, such as C:\\cnns, and {AGAIN}.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|problem confirming the ssl",
        "The network answers with a certificate that Python does not know, as networks do that "
        "read along (companies, schools, virus scanners).\nAsk for its certificate as a .pem file, "
        f"and put  -- --cert FILE  after the command, or set PIP_CERT=FILE; then {AGAIN}.",
    ),
    (
        r"(: |error )407\b",
        "The proxy asks for a name and a password: set "
        f"HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT and {AGAIN}.",
    ),
    (
        r"Tunnel connection failed: (\d+ [\w ]+)",
        "The proxy does not let this computer reach {index} ({0}). Ask who runs the network for an "
        "index of packages that may be used, put  -- --index-url INDEX  after the command, and "
        f"{AGAIN}.",
    ),
    (
        r"ProxyError|Cannot connect to proxy",
        "The proxy does not answer. Correct or unset HTTPS_PROXY (or `proxy` of pip.conf; see "
        f"`pip config list`) and {AGAIN}.",
    ),
    (
        r"(: |error )(?:401|403)\b",
        "{index} refuses (401 or 403): it wants a name and a password in its address, or the "
        "network forbids it. Name another after the command,  -- --index-url INDEX,  and "
        f"{AGAIN}.",
    ),
    (
        r"DO NOT MATCH THE HASHES|located at \S+ is invalid|BadZipFile",
        "What arrived is not the package: {index} is damaged, or a login page of the network "
        f"answers in its place. Open a web page to log in, or name another index, and {AGAIN}.",
    ),
    (
        r"(?:error |: )404\b",
        "{index} lists a package but does not have the file: an incomplete mirror. Name another "
        f"after the command,  -- --index-url INDEX,  and {AGAIN}.",
    ),
    (
        r"too many 5\d\d error|error 5\d\d\b|: 5\d\d Server Error",
        f"{{index}} is out of order for the moment. Wait a little and {AGAIN}.",
    ),
    (
        r"Retry\(total=0|Max retries exceeded|NewConnectionError|NameResolutionError|getaddrinfo"
        r"|Temporary failure in name resolution|Network is unreachable|ConnectionResetError"
        r"|ConnectionRefusedError|ConnectTimeout|ReadTimeout|IncompleteRead|Connection broken",
        "No network, or none that reaches {index}: the first call has to download about {size:g} "
        f"GB.\nConnect (behind a proxy: set HTTPS_PROXY) and {AGAIN}.\n"
        "Later calls need no network.",
    ),
    (
        r"satisfies the requirement (\S+) \(from versions: (?!none)([^)]*)\)",
        "{index} has no {0} for Python {python} on {system}, only {1}: a mirror that is behind, or "
        "a Python that PyTorch does not know yet or any more. Name another index,  -- --index-url "
        f"INDEX,  or take another Python, e.g. 3.12, and {AGAIN}.",
    ),
    (
        r"No matching distribution found for (\S+)",
        "{index} has no {0} for Python {python} on {system}.\nPyTorch needs a 64-bit Python that "
        "is not brand-new, and on a Mac an Apple processor: try another, e.g. 3.12. If this index "
        f"is a mirror, it may lack the package for all. Then {AGAIN}.",
    ),
    (
        r"\[(?:Errno 13|Errno 30|WinError 5)\][^:\n]*:? ?('[^'\n]*')?",
        "This account may not write there: {0}. Take a folder of your own for the course (nothing "
        f"of it needs an administrator), and {AGAIN}. A virus scanner at work does the same.",
    ),
    (
        r"UnicodeEncodeError",
        "Python cannot write the name of the course's folder in this system's alphabet. Move the "
        f"course to a folder with plain letters in its path, and {AGAIN}.",
    ),
]


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
    foreign = {"PYTHONHOME", "PYTHONPATH", "__PYVENV_LAUNCHER__"}
    foreign |= {"PIP_" + name.upper().replace("-", "_") for name in REDIRECTING}
    environment = {key: value for key, value in os.environ.items() if key.upper() not in foreign}
    programs = str(venv_python(venv).parent)
    path = environment.get("PATH", "")
    environment.update(VIRTUAL_ENV=str(venv), PATH=os.pathsep.join([programs, path]))
    return environment


def answers(venv: Path, code: str) -> str | None:
    """What the environment's Python prints for some code, or None if it fails.

    Args:
        code: what it prints must be ASCII: other letters may be missing in a console's alphabet.
    """
    command = [str(venv_python(venv)), "-P", "-c", code]
    said = {"encoding": "utf-8", "errors": "replace", "capture_output": True}
    try:
        done = subprocess.run(command, env=child_environment(venv), check=True, **said)
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
    found = answers(
        venv, loads(extras) + ", course_utils as c, json; print(json.dumps(c.__file__))"
    )
    return bool(found) and Path(json.loads(found)).resolve().parent.parent == root


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


def write_launcher(venv: Path) -> None:
    """Let `course` of the environment find its folder by itself, wherever that is moved.

    pip's own names the folder in its first line. This one asks course.py, which adapts the rest.
    """
    launcher = venv_python(venv).parent / "course"
    if os.name != "nt" and launcher.is_file():
        launcher.write_text(
            '#!/bin/sh\nhere=$(cd "$(dirname "$0")" && pwd -P)\n'
            'exec "$here/python" "$here/../../course.py" "$@"\n'
        )


def settle_pip(venv: Path) -> None:
    """Undo what a user's pip.conf says about where packages go; all else in it still counts.

    A configuration file of the environment itself is read last, and empty values do not count.
    """
    file = venv / ("pip.ini" if os.name == "nt" else "pip.conf")
    if not file.exists():
        undone = "".join(f"{name} =\n" for name in REDIRECTING)
        file.write_text(f"[global]\n{undone}[install]\n{undone}", encoding="ascii")


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
    command = [python, "-m", "venv", str(venv)]
    options = {"capture_output": True, "encoding": "utf-8", "errors": "replace"}
    done = subprocess.run(command, **options)
    if done.returncode and "lib64" in done.stdout + done.stderr:
        # A disk without links (exFAT): the one that venv insists on is a folder as well.
        (venv / "lib64").mkdir(exist_ok=True)
        done = subprocess.run([*command, "--copies"], **options)
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


def sizes(venv: Path, options: Iterable[str] = ()) -> tuple[float, float]:
    """Gigabytes to download and gigabytes installed: fewer where PyTorch comes without CUDA.

    Args:
        venv: the environment; an installed build of PyTorch without CUDA is kept.
        options: pip's; an index of such builds may be named there, or in pip's variables.
    """
    named = [*options, *(os.environ.get(f"PIP_{key}INDEX_URL", "") for key in ("", "EXTRA_"))]
    installed = any(p for folder in site_packages(venv) for p in folder.glob("torch-*+cpu.*-info"))
    if installed or any("/whl/cpu" in word for word in named):
        return ELSEWHERE
    return SIZES.get(platform.system(), ELSEWHERE)


def has_nvidia() -> bool:
    """Whether this computer has a GPU that PyTorch's CUDA builds could use."""
    return Path("/proc/driver/nvidia").exists() or bool(shutil.which("nvidia-smi"))


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


def disk_options(venv: Path, options: Iterable[str] = ()) -> list[str]:
    """Check that the installation fits; extra pip options if it does only without pip's cache."""
    download, disk = sizes(venv, options)
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


def check_path(root: Path, long_paths: bool) -> None:
    """Refuse a folder below which the packages' paths get too long for Windows.

    Raises:
        SetupError: says how long the folder's path may be.
    """
    most = WINDOWS_PATH - LONGEST - len("\\.venv\\Lib\\site-packages\\")
    if not long_paths and len(str(root)) > most:
        raise SetupError(
            f"The path of the course's folder has {len(str(root))} letters, and this Windows takes "
            f"{most} at most: the packages' own paths are long.\nMove the folder nearer to the "
            "disk's root, such as C:\\cnns, or switch on long paths: "
            "https://pip.pypa.io/warnings/enable-long-paths"
        )


def has_long_paths() -> bool:
    """Whether paths of more than 259 letters work: not where Windows has them switched off."""
    if os.name != "nt":
        return True
    import winreg

    try:
        with winreg.OpenKey(
            winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem"
        ) as key:
            return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])
    except OSError:
        return False


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
        elif text.lower().startswith(("error", "hint", "× ")):
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
    """Why pip failed, in one message, from what it printed; names the log."""
    looked = re.search(r"Looking in indexes: (\S+?),?\s", output)
    facts = {
        "index": f"the package index {looked.group(1)}" if looked else "the package index",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "size": sizes(log.parent)[0],
    }
    for pattern, message in FAILURES:
        found = re.search(pattern, output)
        if found:
            said = message.format(*(group or "?" for group in found.groups()), **facts)
            return f"{said[0].upper()}{said[1:]}\nWhat pip said: {log}"
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
    command += ["--log", str(venv / DETAILS), "-c", str(root / "constraints.txt"), *arguments]
    (venv / DETAILS).unlink(missing_ok=True)
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
        # That an index refuses, pip tells nobody but its own log.
        for line in re.findall(r"Could not fetch URL .*", _read(venv / DETAILS)):
            log.write(line + "\n")
            lines.append(line + "\n")
    said = "".join(lines)
    understood = any(re.search(pattern, said) for pattern, _ in FAILURES)
    if progress.errors and not (pip.returncode and understood):  # pip often blames the versions
        print(*progress.errors, sep="\n", file=sys.stderr)
    if pip.returncode:
        raise SetupError(explain(said, venv / LOG))
    (venv / DETAILS).unlink(missing_ok=True)


REASONS = {
    "missing": "The first call sets the course up in {venv}",
    "unfinished": "An earlier set-up was interrupted; going on in {venv}",
    "python": "The Python below {venv} has gone or changed; making the environment anew",
    "moved": "The course's folder has moved; adapting {venv}",
    "outdated": "The course needs other packages than before; updating {venv}",
}


def announce(reason: str, venv: Path, options: Iterable[str] = ()) -> None:
    """Say beforehand what will be done, how much it downloads and where it goes."""
    download, disk = sizes(venv, options)
    print(REASONS[reason].format(venv=venv))
    print(f"  with Python {platform.python_version()}, exact versions from constraints.txt")
    if reason != "outdated":
        cuda = ", which brings CUDA on Linux" if (download, disk) != ELSEWHERE else ""
        print(f"  download about {download:g} GB, on disk {disk:g} GB; most is PyTorch{cuda}")
        if cuda and not has_nvidia():
            small = "{:g} and {:g} GB".format(*ELSEWHERE)
            print(f"  No NVIDIA GPU here: {small} will do. Stop, and add to the command")
            print(f"      -- {CPU_OPTION}")
            print(f"  {CPU_PLACE}")
    print("  Interrupting is safe: the same command goes on later.", flush=True)


def set_up(root: Path, venv: Path, extras: set[str], options: list[str]) -> None:
    """Bring the environment to the wanted state, from whatever state it is in."""
    reason = diagnose(root, venv, extras)
    if reason == "moved":
        relocate(venv, read_marker(venv)["root"], str(root))
        if installed(root, venv, extras):
            print(REASONS[reason].format(venv=venv))
            write_launcher(venv)
            write_marker(root, venv, set(read_marker(venv)["extras"]))
            reason = diagnose(root, venv, extras)
    if not reason:
        return
    check_path(root, has_long_paths())
    announce(reason, venv, options)
    extras = extras | set(read_marker(venv).get("extras", ()))
    extra_options = disk_options(venv, options)
    fresh = reason in ("missing", "python") or not works(venv)
    if fresh:
        make_venv(venv)
    (venv / MARKER).unlink(missing_ok=True)
    (venv / LOG).unlink(missing_ok=True)
    drop_half_installed(venv)
    settle_pip(venv)
    pip_install(root, venv, extras, extra_options + options)
    if not installed(root, venv, extras) and not fresh:
        print("Some packages are damaged; making the environment anew.", flush=True)
        make_venv(venv)
        settle_pip(venv)
        pip_install(root, venv, extras, extra_options + options)
    if not installed(root, venv, extras):
        raise SetupError(
            f"The packages are installed but do not load: see {venv / LOG}, or try\n"
            f'  {venv_python(venv)} -c "{loads(extras)}"'
        )
    write_launcher(venv)
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
    for stream in (sys.stdout, sys.stderr):  # a folder's name may hold what a console lacks
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    verb, options = arguments[:cut], arguments[cut + 1 :]
    if not verb or verb[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if verb else 2
    needs = "lab" if verb[0] == "bench" and "--page" in verb else verb[0]  # it measures nothing
    venv = BENCH if needs == "bench" else VENV
    try:
        set_up(ROOT, venv, set(EXTRAS.get(needs, ("lab",))), options)
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
