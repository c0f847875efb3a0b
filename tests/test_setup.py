"""course.py, constraints.txt and environment.yml; pip is a stand-in, nothing is downloaded."""

import ast
import configparser
import importlib.util
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.markers import default_environment
from packaging.version import Version

from course_utils.commands import pins
from course_utils.common import paths

ROOT = paths.root()
SPEC = importlib.util.spec_from_file_location("course", ROOT / "course.py")
course = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(course)


# --- A project whose pip is a stand-in ---------------------------------------------------------


PYPROJECT = """
[project]
name = "seeing-what-cnns-see"
requires-python = ">=3.11"
dependencies = ["torch"]
[project.optional-dependencies]
lab = ["jupyterlab"]
test = ["pytest"]
"""


class Machine:
    """Stands for `subprocess` in course.py: makes environments, plays pip, and takes notes."""

    PIPE, STDOUT, DEVNULL = subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL
    SubprocessError = subprocess.SubprocessError

    def __init__(self, root: Path):
        self.root, self.venv = root, root / ".venv"
        self.made, self.installs, self.handed_over = 0, [], []
        self.pip_says, self.pip_exit, self.pip_interrupted = "Collecting torch\n", 0, False
        self.python_runs, self.damaged = True, False

    def run(self, command, **_):
        if command[1:3] == ["-m", "venv"]:
            self.made += 1
            self.make_venv()
            self.python_runs, self.damaged = True, False
            return SimpleNamespace(returncode=0, stdout="", stderr="")
        if not self.python_runs:
            raise FileNotFoundError(command[0])
        if "import torch" in command[-1]:
            if self.damaged or not self.installs:
                raise subprocess.CalledProcessError(1, command)
            said = json.dumps(str(self.root / "course_utils" / "__init__.py"))
        else:
            said = "True"
        return SimpleNamespace(returncode=0, stdout=said + "\n", stderr="")

    def make_venv(self):
        python = course.venv_python(self.venv)
        python.parent.mkdir(parents=True)
        python.write_text("python")
        (self.venv / "pyvenv.cfg").write_text(f"home = {self.root}\n")
        self.site.mkdir(parents=True)

    @property
    def site(self):
        return self.venv / ("Lib" if os.name == "nt" else "lib/python3.11") / "site-packages"

    def Popen(self, command, **_):
        if command[2] == "pip":
            self.installs.append(command)
            return FakePip(self.pip_says, self.pip_exit, self.pip_interrupted)
        self.handed_over.append(command)
        return SimpleNamespace(wait=lambda: 7)


class FakePip:
    def __init__(self, says, exit_code, interrupted):
        self.stdout = self.lines(says, interrupted)
        self.returncode = exit_code

    def lines(self, says, interrupted):
        yield from says.splitlines(keepends=True)
        if interrupted:
            raise KeyboardInterrupt

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


@pytest.fixture
def machine(tmp_path, monkeypatch):
    root = (tmp_path / "course").resolve()
    root.mkdir()
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "constraints.txt").write_text("torch==2.15.0\n")
    (root / course.PEERS).parent.mkdir(parents=True)
    (root / course.PEERS).write_text("captum==0.9.0\n")
    fake = Machine(root)
    monkeypatch.setattr(course, "subprocess", fake)
    monkeypatch.setattr(course, "ROOT", root)
    monkeypatch.setattr(course, "VENV", fake.venv)
    monkeypatch.setattr(course, "BENCH", root / ".venv-bench")
    monkeypatch.setattr(course.shutil, "disk_usage", lambda _: SimpleNamespace(free=100e9))
    return fake


# --- Old Pythons -------------------------------------------------------------------------------


def test_an_old_python_is_named_with_what_is_needed():
    message = course.too_old((3, 8, 10))
    assert "needs Python 3.11 or newer" in message
    assert "this is 3.8.10" in message
    assert course.too_old((3, 11, 0)) is None
    assert course.too_old((4, 0, 0)) is None


def test_main_stops_an_old_python_before_anything_else(machine, monkeypatch, capsys):
    monkeypatch.setattr(course.sys, "version_info", (3, 9, 2, "final", 0))
    assert course.main(["lab"]) == 1
    assert "this is 3.9.2" in capsys.readouterr().err
    assert machine.made == 0


def test_old_pythons_can_read_the_file():
    source = (ROOT / "course.py").read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 8))
    imported = {a.name for n in tree.body if isinstance(n, ast.Import) for a in n.names}
    assert "tomllib" not in imported  # since 3.11 only
    assert imported <= sys.stdlib_module_names
    # Annotations such as list[str] must not be evaluated.
    assert any(isinstance(n, ast.ImportFrom) and n.module == "__future__" for n in tree.body)


# --- First and later calls ---------------------------------------------------------------------


def test_the_first_call_says_what_it_does_installs_and_hands_over(machine, capsys):
    assert course.main(["lab", "06", "--no-browser", "--", "--proxy", "p"]) == 7
    said = capsys.readouterr().out
    assert re.search(r"download about [\d.]+ GB, on disk [\d.]+ GB", said)
    assert str(machine.venv) in said
    (pip,) = machine.installs
    assert pip[pip.index("-c") + 1] == str(machine.root / "constraints.txt")
    assert pip[pip.index("-e") + 1] == f"{machine.root}[lab]"
    assert pip[-2:] == ["--proxy", "p"]
    (verb,) = machine.handed_over
    assert verb[-5:] == ["-m", "course_utils.commands.cli", "lab", "06", "--no-browser"]


def test_later_calls_do_nothing_but_hand_over(machine, capsys):
    course.main(["lab"])
    capsys.readouterr()
    assert course.main(["lab"]) == 7
    assert (machine.made, len(machine.installs)) == (1, 1)
    assert capsys.readouterr().out == ""


def test_test_adds_its_packages_once_and_lab_needs_no_others(machine):
    for verb in ("lab", "test", "test", "lab"):
        course.main([verb])
    extras = [command[command.index("-e") + 1].rpartition("[")[2] for command in machine.installs]
    assert extras == ["lab]", "lab,test]"]
    assert machine.made == 1


@pytest.fixture
def bench_machine(machine):
    """The same; environments are made in the folder of the benchmarks."""
    machine.venv = machine.root / ".venv-bench"
    return machine


def test_bench_has_an_environment_of_its_own(bench_machine):
    assert course.main(["bench", "--quick", "--", "--proxy", "p"]) == 7
    own, peers = bench_machine.installs
    constraints = ["-c", str(bench_machine.root / "constraints.txt")]
    for command in (own, peers):
        assert command[0].startswith(str(bench_machine.root / ".venv-bench"))
        assert [command[i : i + 2] for i, word in enumerate(command) if word == "-c"] == [
            constraints
        ]
        assert command[-2:] == ["--proxy", "p"]
    assert own[own.index("-e") + 1] == str(bench_machine.root)  # no extra: neither lab nor test
    assert "--no-deps" not in own
    # Nothing that a peer pins can replace the course's own packages.
    assert peers[peers.index("--no-deps") : peers.index("-r") + 2] == [
        "--no-deps", "-r", str(bench_machine.root / course.PEERS)
    ]  # fmt: skip
    assert not (bench_machine.root / ".venv").exists()
    (verb,) = bench_machine.handed_over
    assert verb[0] == str(course.venv_python(bench_machine.venv))
    assert verb[-3:] == ["course_utils.commands.cli", "bench", "--quick"]


def test_the_page_of_benchmarks_needs_no_environment_of_its_own(machine):
    assert course.main(["bench", "--page"]) == 7
    assert not (machine.root / ".venv-bench").exists()
    (verb,) = machine.handed_over
    assert verb[0] == str(course.venv_python(machine.root / ".venv"))


def test_another_peer_updates_only_the_environment_of_the_benchmarks(bench_machine):
    root = bench_machine.root
    course.main(["bench"])
    course.main(["bench"])
    assert (bench_machine.made, len(bench_machine.installs)) == (1, 2)
    lab = course.fingerprint(root, {"lab"})
    (root / course.PEERS).write_text("captum==0.9.0\nfoolbox==3.3.4\n")
    assert course.fingerprint(root, {"lab"}) == lab
    course.main(["bench"])
    assert (bench_machine.made, len(bench_machine.installs)) == (1, 4)


def test_the_peers_are_exact_and_load_no_jupyter():
    lines = (ROOT / course.PEERS).read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert pinned
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pinned)
    assert course.loads({"peers"}) == "import torch, torchvision"
    assert "jupyterlab" in course.loads({"lab", "test"})


def test_changed_constraints_bring_an_update_that_keeps_the_extras(machine):
    course.main(["test"])
    (machine.root / "constraints.txt").write_text("torch==2.16.0\n")
    course.main(["lab"])
    assert machine.installs[-1][machine.installs[-1].index("-e") + 1].endswith("[lab,test]")
    assert (machine.made, len(machine.installs)) == (1, 2)


def test_the_fingerprint_ignores_what_installs_nothing(machine):
    before = course.fingerprint(machine.root)
    (machine.root / "pyproject.toml").write_text(PYPROJECT + "[tool.ruff]\nline-length = 100\n")
    assert course.fingerprint(machine.root) == before
    (machine.root / "pyproject.toml").write_text(PYPROJECT.replace('"torch"', '"torch", "timm"'))
    assert course.fingerprint(machine.root) != before


def test_help_installs_nothing(machine, capsys):
    assert course.main(["--help"]) == 0
    assert course.main([]) == 2
    assert "python course.py lab" in capsys.readouterr().out
    assert machine.made == 0


# --- What can go wrong -------------------------------------------------------------------------


NO_NETWORK = """\
Collecting torch
WARNING: Retrying (Retry(total=4, connect=None)) after connection broken by \
'NewConnectionError('<HTTPSConnection>: Failed to establish a new connection: [Errno -3] \
Temporary failure in name resolution')': /simple/torch/
WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by \
'NewConnectionError('<HTTPSConnection>: Failed to establish a new connection: [Errno -3] \
Temporary failure in name resolution')': /simple/torch/
ERROR: Could not find a version that satisfies the requirement torch (from versions: none)
ERROR: No matching distribution found for torch
"""


def test_no_network_is_one_clear_message_and_the_next_call_goes_on(machine, capsys):
    machine.pip_says, machine.pip_exit = NO_NETWORK, 1
    assert course.main(["lab"]) == 1
    error = capsys.readouterr().err
    assert "No network" in error
    assert "run the same command again" in error
    assert "Traceback" not in error
    assert "ERROR" not in error  # pip blames the versions
    machine.pip_exit = 0
    assert course.main(["lab"]) == 7
    assert machine.made == 1


# What pip 23.2 printed, or wrote into its log, before a small server that behaved so.
NONE = """\
ERROR: Could not find a version that satisfies the requirement torch==2.15.0 (from versions: none)
ERROR: No matching distribution found for torch==2.15.0
"""
RETRY = "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by "
MIRROR = "Looking in indexes: http://mirror.example/simple\n"
PIP_SAYS = [
    (
        RETRY
        + "'SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate "
        "verify failed: self-signed certificate in certificate chain'))': /simple/torch/\n" + NONE,
        "certificate that Python does not know.*--cert FILE",
    ),
    (
        RETRY
        + "'ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 407 Proxy "
        "Authentication Required'))': /simple/torch/\n" + NONE,
        "proxy asks for a name and a password.*HTTPS_PROXY=http://NAME",
    ),
    (
        RETRY + "'ProxyError('Cannot connect to proxy.', OSError('Tunnel connection failed: 403 "
        "Forbidden'))': /simple/torch/\n" + NONE,
        r"proxy does not let this computer reach .*\(403 Forbidden\)",
    ),
    (
        RETRY
        + "'ProxyError('Cannot connect to proxy.', NewConnectionError('<HTTPSConnection object>: "
        "Failed to establish a new connection: [Errno 111] Connection refused'))': /torch/\n"
        + NONE,
        "The proxy does not answer.*unset HTTPS_PROXY",
    ),
    (MIRROR + NONE + "FETCH 407 Client Error: Proxy Authentication Required", "The proxy asks"),
    (
        MIRROR + NONE + "FETCH 403 Client Error: Forbidden",
        "index http://mirror.example/simple refuses",
    ),
    (
        MIRROR + NONE + "FETCH 401 Client Error: Unauthorized",
        "a name and a password in its address",
    ),
    (
        MIRROR
        + NONE
        + "FETCH HTTPConnectionPool(host='mirror.example', port=80): Max retries exceeded "
        "with url: /simple/torch/ (Caused by ResponseError('too many 503 error responses'))",
        "mirror.example/simple is out of order for the moment",
    ),
    (
        MIRROR + "  ERROR: HTTP error 404 while getting http://mirror.example/f/torch-2.15.0.whl\n",
        "an incomplete mirror.*--index-url INDEX",
    ),
    (
        MIRROR + NONE.replace("none", "2.13.0, 2.14.1"),
        r"mirror.example/simple has no torch==2.15.0 for Python .*only 2.13.0, 2.14.1: a mirror",
    ),
    (
        "ERROR: Wheel 'torch' located at /tmp/torch-2.15.0-py3-none-any.whl is invalid.",
        "login page",
    ),
    (
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
        "What arrived is not the package",
    ),
    (NONE, "package index has no torch==2.15.0 for Python"),
    ("ERROR: Could not install: [Errno 28] No space left on device", "The disk is full"),
    (
        "ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: "
        "'/course/.venv/lib/x.py'\nCheck the permissions.",
        "may not write there: '/course/.venv/lib/x.py'",
    ),
    (
        "ERROR: Could not install packages due to an OSError: [Errno 2] No such file or directory: "
        "'C:\\\\x'\nHINT: This error might have occurred since this system does not have "
        "Windows Long Path support enabled.",
        "nearer to the disk's root",
    ),
    ("UnicodeEncodeError: 'charmap' codec can't encode characters", "a folder with plain letters"),
]


@pytest.mark.parametrize(("says", "message"), PIP_SAYS)
def test_failures_of_pip_are_told_apart(machine, capsys, monkeypatch, says, message):
    says, _, fetched = says.partition("FETCH")
    if fetched:  # pip tells only its own log, at the level of debugging

        def popen(command, **_):
            details = Path(command[command.index("--log") + 1])
            details.write_text(
                f"2026-11-28 Could not fetch URL http://mirror.example/t/:{fetched}\n"
            )
            return FakePip(says, 1, False)

        monkeypatch.setattr(machine, "Popen", popen)
    machine.pip_says, machine.pip_exit = says, 1
    assert course.main(["lab"]) == 1
    error = capsys.readouterr().err
    assert re.search(message, error, re.DOTALL)
    assert str(machine.venv / course.LOG) in error
    assert "ERROR" not in error  # pip's own words blame what is innocent
    assert "Traceback" not in error
    assert fetched in (machine.venv / course.LOG).read_text()


def test_what_is_not_understood_is_said_in_pips_words(machine, capsys):
    machine.pip_says, machine.pip_exit = "ERROR: something else\nHINT: look there", 1
    assert course.main(["lab"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("ERROR: something else\nHINT: look there\n")
    assert f"all of them in {machine.venv / course.LOG}" in error


def test_pips_settings_that_put_packages_elsewhere_do_not_count(machine, monkeypatch):
    for name in ("USER", "TARGET", "PREFIX", "ROOT", "DRY_RUN"):
        monkeypatch.setenv(f"PIP_{name}", "1")
    monkeypatch.setenv("PIP_PROXY", "http://proxy:1")
    variables = course.child_environment(machine.venv)
    assert [name for name in variables if name.startswith("PIP_")].count("PIP_PROXY") == 1
    assert not {f"PIP_{name}" for name in ("USER", "TARGET", "PREFIX", "ROOT")} & set(variables)
    assert "PIP_DRY_RUN" not in variables
    course.main(["lab"])
    settings = configparser.ConfigParser()
    settings.read(machine.venv / ("pip.ini" if os.name == "nt" else "pip.conf"))
    for section in ("global", "install"):
        assert set(settings[section].values()) == {""}
        assert {"user", "target", "prefix", "root"} <= set(settings[section])


@pytest.mark.parametrize("setting", ["user = true", "target = {}", "prefix = {}", "root = {}"])
def test_a_pip_conf_of_the_user_cannot_move_the_packages(tmp_path, setting):
    """The real pip, in an environment without pip of its own, with a package made here."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    wheel = tmp_path / "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("tiny.py", "")
        file.writestr(
            "tiny-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n"
        )
        file.writestr("tiny-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr("tiny-1.dist-info/RECORD", "tiny.py,,\n")
    (tmp_path / "pip").mkdir()
    for name in ("pip.conf", "pip.ini"):
        (tmp_path / "pip" / name).write_text(f"[install]\n{setting.format(tmp_path / 'else')}\n")
    course.settle_pip(tmp_path / "venv")
    pip = next(p for p in map(Path, sys.path) if (p / "pip" / "__main__.py").is_file()) / "pip"
    environment = course.child_environment(tmp_path / "venv")
    environment.pop("PIP_CONFIG_FILE", None)
    for home in ("HOME", "XDG_CONFIG_HOME", "APPDATA"):
        environment[home] = str(tmp_path)
    command = [course.venv_python(tmp_path / "venv"), pip, "install", "--no-index", "--no-deps"]
    subprocess.run([*command, wheel], env=environment, check=True, capture_output=True)
    assert list((tmp_path / "venv").rglob("tiny.py"))
    assert not (tmp_path / "else").exists()


# --- Folders with other letters, without links, deep down, moved -------------------------------


@pytest.mark.parametrize("alphabet", ["ascii", "cp1252", "cp936", "utf-8"])
def test_the_consoles_alphabet_does_not_matter(tmp_path, monkeypatch, alphabet):
    root = (tmp_path / "看懂CNN").resolve()
    (root / "course_utils").mkdir(parents=True)
    (root / "course_utils" / "__init__.py").touch()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root / ".venv"], check=True)
    (course.site_packages(root / ".venv")[0] / "here.pth").write_text(str(root), encoding="utf-8")
    monkeypatch.setattr(course, "loads", lambda extras: "import os")
    monkeypatch.setenv("PYTHONIOENCODING", alphabet)
    assert course.installed(root, root / ".venv", {"lab"})
    assert not course.installed(tmp_path, root / ".venv", {"lab"})


def test_messages_reach_a_console_without_the_folders_letters(machine, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(course.sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    monkeypatch.setitem(course.REASONS, "missing", "看懂CNN {venv}")
    assert course.main(["lab"]) == 7
    course.sys.stdout.flush()
    assert b"\\u770b\\u61c2CNN" in raw.getvalue()


@pytest.mark.skipif(os.name == "nt", reason="environments on Windows have no links")
def test_a_disk_without_links_gets_an_environment(tmp_path, monkeypatch):
    # As on exFAT: every attempt to make a link is refused, in the Python that makes it too.
    (tmp_path / "sitecustomize.py").write_text(
        "import os\ndef refuse(old, new, *_, **__):\n"
        "    raise PermissionError(1, 'Operation not permitted', old, None, new)\n"
        "os.symlink = os.link = refuse\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    real = subprocess.run  # without pip: that takes seconds, and is no matter of links
    quick = lambda command, **more: real([*command, "--without-pip"], **more)  # noqa: E731
    monkeypatch.setattr(course, "subprocess", SimpleNamespace(run=quick))
    course.make_venv(tmp_path / ".venv")
    python = course.venv_python(tmp_path / ".venv")
    assert not python.is_symlink()
    assert real([python, "-c", "import sys; assert sys.prefix != sys.base_prefix"]).returncode == 0


def test_a_path_too_long_for_windows_is_refused_before_anything_is_made(
    machine, monkeypatch, capsys
):
    monkeypatch.setattr(course, "has_long_paths", lambda: False)
    monkeypatch.setattr(course, "ROOT", Path("C:/" + "x" * 100))
    assert course.main(["lab"]) == 1
    assert "Move the folder nearer to the disk's root" in capsys.readouterr().err
    assert machine.made == 0
    course.check_path(Path("C:/" + "x" * 90), long_paths=False)
    with pytest.raises(course.SetupError, match="has 103 letters, and this Windows takes 97"):
        course.check_path(Path("C:/" + "x" * 100), long_paths=False)
    course.check_path(Path("C:/" + "x" * 100), long_paths=True)


def test_no_installed_path_is_longer_than_the_longest():
    site = Path(pytest.__file__).parent.parent
    longest = max(
        len(os.path.relpath(os.path.join(where, name), site))
        for where, _, names in os.walk(site)
        for name in names
    )
    assert 100 < longest <= course.LONGEST


@pytest.mark.skipif(os.name == "nt", reason="a program on Windows")
def test_the_command_of_the_environment_survives_a_move(tmp_path):
    before, after = tmp_path / "before", tmp_path / "after the move"
    (before / ".venv" / "bin").mkdir(parents=True)
    (before / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (before / ".venv" / "bin" / "course").write_text(f"#!{before}/.venv/bin/python\n")
    (before / ".venv" / "bin" / "course").chmod(0o755)
    (before / "course.py").write_text("import sys; print(__file__, sys.argv[1:])")
    course.write_launcher(before / ".venv")
    before.rename(after)
    done = subprocess.run(
        [after / ".venv" / "bin" / "course", "lab", "a b"], capture_output=True, text=True
    )
    said = done.stdout.replace("/.venv/bin/../..", "")
    assert said == f"{after}/course.py ['lab', 'a b']\n"


# --- Builds without CUDA -----------------------------------------------------------------------


def test_without_an_nvidia_gpu_the_small_build_is_offered(machine, monkeypatch, capsys):
    monkeypatch.setattr(course.platform, "system", lambda: "Linux")
    for has, offered in ((False, True), (True, False)):
        monkeypatch.setattr(course, "has_nvidia", lambda has=has: has)
        course.announce("missing", machine.venv)
        assert (course.CPU_OPTION in capsys.readouterr().out) == offered


@pytest.mark.parametrize("named", ["option", "variable", "installed"])
def test_a_build_without_cuda_needs_less(machine, monkeypatch, capsys, named):
    monkeypatch.setattr(course.platform, "system", lambda: "Linux")
    monkeypatch.setattr(course.shutil, "disk_usage", lambda _: SimpleNamespace(free=3e9))
    assert course.main(["lab"]) == 1
    options = []
    if named == "option":
        options = ["--", "--extra-index-url", "https://example.org/whl/cpu"]
    elif named == "variable":
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://example.org/whl/cpu")
    else:
        machine.make_venv()
        (machine.site / "torch-2.15.0+cpu.dist-info").mkdir()
        (machine.site / "torch-2.15.0+cpu.dist-info" / "RECORD").write_text("a/INSTALLER,,\n")
    capsys.readouterr()
    assert course.main(["lab", *options]) == 7
    assert "download about 0.5 GB, on disk 1.8 GB" in capsys.readouterr().out
    if named == "installed":  # it is gone on with, not thrown away
        assert machine.made == 0
        assert (machine.site / "torch-2.15.0+cpu.dist-info").exists()


def test_pip_prefers_a_build_without_cuda_within_the_pins(tmp_path):
    """The real pip with stand-ins for the wheels of two indexes."""
    for version in ("2.15.0", "2.15.0+cpu", "2.16.0+cpu"):
        with zipfile.ZipFile(tmp_path / f"torch-{version}-py3-none-any.whl", "w") as file:
            info = f"torch-{version}.dist-info"
            file.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n"
            )
            file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            file.writestr(f"{info}/RECORD", "")
    (tmp_path / "constraints.txt").write_text("torch==2.15.0\n")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "torch"]
    command += ["--no-index", "--find-links", tmp_path, "-c", tmp_path / "constraints.txt"]
    environment = dict(os.environ, PIP_CONFIG_FILE=os.devnull)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "Would install torch-2.15.0+cpu" in done.stdout


def test_too_little_disk_is_said_before_anything_is_made(machine, monkeypatch, capsys):
    monkeypatch.setattr(course.shutil, "disk_usage", lambda _: SimpleNamespace(free=0.2e9))
    assert course.main(["lab"]) == 1
    error = capsys.readouterr().err
    assert re.search(r"Too little disk space: about [\d.]+ GB needed .* 0\.2 GB free", error)
    assert machine.made == 0
    assert not machine.venv.exists()


def test_a_disk_that_suffices_only_without_a_cache_is_used_so(machine, monkeypatch, tmp_path):
    download, disk = course.sizes(machine.venv)
    for variable in ("PIP_CACHE_DIR", "TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr(course.tempfile, "gettempdir", lambda: str(tmp_path))
    free = (disk + 1.5 * download) * 1e9
    monkeypatch.setattr(course.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    course.main(["lab"])
    assert "--no-cache-dir" in machine.installs[0]


def test_an_interrupted_first_call_goes_on_where_it_was(machine, capsys):
    machine.pip_interrupted = True
    assert course.main(["lab"]) == 130
    assert not (machine.venv / course.MARKER).exists()
    (machine.site / "whole-1.dist-info").mkdir()
    (machine.site / "whole-1.dist-info" / "RECORD").write_text("whole-1.dist-info/INSTALLER,,\n")
    (machine.site / "half-1.dist-info").mkdir()  # as pip leaves it when it is killed
    (machine.site / "half-1.dist-info" / "RECORD").write_text("half.py,,\n")
    machine.pip_interrupted = False
    assert course.main(["lab"]) == 7
    assert machine.made == 1
    assert "interrupted" in capsys.readouterr().out
    assert [p.name for p in machine.site.glob("*.dist-info")] == ["whole-1.dist-info"]


def test_an_unfinished_environment_whose_python_does_not_run_is_made_anew(machine):
    machine.make_venv()
    (machine.venv / "leftover").touch()
    machine.python_runs = False
    assert course.main(["lab"]) == 7
    assert machine.made == 1
    assert not (machine.venv / "leftover").exists()


def test_damaged_packages_are_installed_anew_once(machine):
    machine.make_venv()
    machine.damaged = True
    assert course.main(["lab"]) == 7
    assert (machine.made, len(machine.installs)) == (1, 2)


def test_a_vanished_python_below_is_repaired(machine, tmp_path, capsys):
    course.main(["lab"])
    (machine.venv / "pyvenv.cfg").write_text(f"home = {tmp_path / 'gone'}\n")
    assert course.main(["lab"]) == 7
    assert "has gone or changed" in capsys.readouterr().out
    assert machine.made == 2


@pytest.mark.skipif(os.name == "nt", reason="environments on Windows have no links")
def test_a_link_to_a_vanished_python_is_repaired(machine, tmp_path):
    course.main(["lab"])
    python = course.venv_python(machine.venv)
    python.unlink()
    python.symlink_to(tmp_path / "gone" / "python3.11")
    assert course.diagnose(machine.root, machine.venv, {"lab"}) == "python"
    assert course.main(["lab"]) == 7


def test_a_moved_folder_is_adapted_without_a_download(machine, capsys):
    course.main(["lab"])
    old = str(machine.root.parent / "before")
    marker = json.loads((machine.venv / course.MARKER).read_text())
    (machine.venv / course.MARKER).write_text(json.dumps({**marker, "root": old}))
    script = course.venv_python(machine.venv).parent / "course"
    script.write_text(f"#!{old}/.venv/bin/python\n")
    (machine.site / "__editable__.course.pth").write_text(old)
    assert course.main(["lab"]) == 7
    assert "has moved" in capsys.readouterr().out
    assert len(machine.installs) == 1
    if os.name != "nt":  # it finds its folder itself
        assert old not in script.read_text()
    assert (machine.site / "__editable__.course.pth").read_text() == str(machine.root)
    assert course.diagnose(machine.root, machine.venv, {"lab"}) == ""


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_nothing_outside_the_environment_is_deleted(machine, tmp_path, capsys):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").touch()
    machine.venv.symlink_to(elsewhere)
    assert course.main(["lab"]) == 1
    assert "is a link" in capsys.readouterr().err
    assert (elsewhere / "mine").exists()


def test_python_without_venv_gets_the_package_to_install(machine, monkeypatch, capsys):
    said = "The virtual environment was not created successfully because ensurepip is not available"
    failed = SimpleNamespace(returncode=1, stdout=said, stderr="")
    monkeypatch.setattr(machine, "run", lambda *_, **__: failed)
    assert course.main(["lab"]) == 1
    assert re.search(r"apt install python3\.\d+-venv", capsys.readouterr().err)


def test_the_marker_is_written_whole_or_not_at_all(machine, monkeypatch):
    course.main(["lab"])
    monkeypatch.setattr(course.os, "replace", lambda *_: pytest.fail("stopped"))
    (machine.root / "constraints.txt").write_text("torch==2.16.0\n")
    with pytest.raises(pytest.fail.Exception):
        course.main(["lab"])
    assert course.read_marker(machine.venv) == {}


# --- pip's words -------------------------------------------------------------------------------


def test_pip_is_told_in_a_line_per_phase_and_errors_are_kept():
    out = io.StringIO()
    progress = course.Progress(out)
    for line in [
        "WARNING: Location 'x' is ignored: it is neither a file nor a directory.",
        "Collecting torch==2.15.0",
        "Collecting numpy",
        "  Downloading torch-2.15.0-cp311-cp311-linux.whl (530.6 MB)",
        "  Downloading torch-2.15.0-cp311-cp311-linux.whl.metadata (29 kB)",
        "Downloading sympy-1.14.0-py3-none-any.whl (6.3 MB)",
        "Installing collected packages: a, b, c",
        "ERROR: it broke",
    ]:
        progress.line(line + "\n")
    assert out.getvalue().splitlines() == [
        "  1/3 finding the packages",
        "  2/3 downloading; the big ones are",
        "      torch-2.15.0 531 MB",
        "  3/3 unpacking 3 packages, which can take minutes",
    ]
    assert progress.errors == ["ERROR: it broke"]


def test_children_find_the_environments_programs_and_no_foreign_packages(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    variables = course.child_environment(tmp_path)
    assert "PYTHONPATH" not in variables
    first = variables["PATH"].split(os.pathsep)[0]
    assert first == str(course.venv_python(tmp_path).parent)


# --- Child processes ---------------------------------------------------------------------------


def test_exit_codes_are_passed_on():
    assert course.run([sys.executable, "-c", "raise SystemExit(5)"], dict(os.environ)) == 5


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_a_killed_child_gives_the_shells_code():
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert course.run([sys.executable, "-c", code], dict(os.environ)) == 128 + signal.SIGKILL


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_child_which_ends_in_its_own_way(tmp_path, number):
    child = tmp_path / "child.py"
    child.write_text(
        "import signal, sys, time\n"
        "def end(*_): print('tidied'); sys.exit(3)\n"
        "signal.signal(signal.SIGINT, end); signal.signal(signal.SIGTERM, end)\n"
        "print('ready', flush=True); time.sleep(60)\n"
    )
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import course, os\n"
        f"sys.exit(course.run([sys.executable, {str(child)!r}], dict(os.environ)))"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout.readline() == "ready\n"
    time.sleep(0.05)
    parent.send_signal(number)
    said, _ = parent.communicate(timeout=20)
    assert (said, parent.returncode) == ("tidied\n", 3)


# --- constraints.txt and environment.yml -------------------------------------------------------


@pytest.fixture(scope="module")
def pinned():
    return pins.read((ROOT / "constraints.txt").read_text(encoding="utf-8"))


def test_constraints_cover_what_is_installed(pinned):
    from importlib import metadata

    wanted = pins.closure({**default_environment()})
    assert {"torch", "jupyterlab", "pytest", "numpy"} <= wanted  # the walk really walked
    assert wanted <= set(pinned), f"run `course pins`: {sorted(wanted - set(pinned))} not pinned"
    differing = {
        name: (metadata.version(name), pinned[name][0])
        for name in wanted
        if Version(metadata.version(name)).public != pinned[name][0]
    }
    assert not differing, "installed and pinned versions differ"


def test_constraints_hold_names_and_versions_only(pinned):
    assert not any("+" in version for version, _ in pinned.values())
    torchs_own = [name for name in pinned if re.match(r"(nvidia|cuda|triton)", name)]
    assert not torchs_own
    assert {"torch", "torchvision"} <= set(pinned)
    assert "captum" not in pinned


def test_packages_of_one_system_carry_a_marker(pinned):
    closures = {key: pins.closure(value) for key, value in pins.environments().items()}
    for name, (_, marker) in pinned.items():
        assert marker == pins.marker(name, closures), name
    assert pinned["pywinpty"][1] == 'sys_platform == "win32"'


def test_writing_the_pins_again_changes_nothing():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert pins.render(text) == text


@pytest.mark.parametrize("line", ["torch>=2", "torch @ file:///x", "torch==2,>=1", "a[b]==1"])
def test_constraints_of_another_form_are_refused(line):
    with pytest.raises(ValueError, match="not a pin"):
        pins.read(line)


def test_conda_gets_python_pip_and_the_project_and_nothing_twice():
    file = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    plain = [entry for entry in file["dependencies"] if isinstance(entry, str)]
    (with_pip,) = [entry["pip"] for entry in file["dependencies"] if isinstance(entry, dict)]
    assert sorted(re.match(r"[\w.-]+", entry).group() for entry in plain) == ["pip", "python"]
    assert sorted(with_pip) == ["-c constraints.txt", "-e .[lab]"]
