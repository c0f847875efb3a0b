"""The command `course`: its verbs, JupyterLab's settings, and the steps of `course test`."""

import json
import os
import platform
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from subprocess import PIPE

import pytest
from typer.testing import CliRunner

from course_utils.commands import build, cli, lab, student, suite
from course_utils.common import lectures, paths

runner = CliRunner()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A course of two empty lectures."""
    for folder in ("notebooks", "solutions", "lectures"):
        (tmp_path / folder).mkdir()
    for name in ("00_start_here", "06_saliency"):
        text = json.dumps({"cells": [], "metadata": {"course": {"version": "aaa"}}})
        for folder in ("notebooks", "solutions"):
            (tmp_path / folder / f"{name}.ipynb").write_text(text)
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    monkeypatch.delenv("COURSE_WORK", raising=False)
    monkeypatch.delenv("COURSE_DEVICE", raising=False)
    return tmp_path


# --- Verbs -------------------------------------------------------------------------------------


def test_help_is_instant_because_nothing_heavy_is_imported():
    code = (
        "import sys\nfrom course_utils.commands import cli\n"
        "try: cli.app(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'matplotlib', 'jupyterlab', 'jupytext'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for verb in ("lab", "build", "test"):
        assert f"\n  {verb} " in done.stdout


def test_version_is_the_projects():
    assert runner.invoke(cli.app, ["--version"]).output.strip() == "0.1.0"


def test_a_package_without_its_source_is_one_message(monkeypatch):
    def missing():
        raise FileNotFoundError("the course's source folder is not beside the package")

    monkeypatch.setattr(paths, "root", missing)
    result = runner.invoke(cli.app, ["build"])
    assert result.exit_code == 1
    assert result.stderr == "the course's source folder is not beside the package\n"


@pytest.fixture
def started(project, monkeypatch):
    """What JupyterLab would have been started with."""
    calls = []
    monkeypatch.setattr(lab, "start", lambda *arguments: calls.append(arguments))
    return calls


def test_lab_fills_work_and_opens_the_first_notebook(project, started):
    result = runner.invoke(cli.app, ["lab"])
    assert result.exit_code == 0, result.output
    assert started == [(project / "work", "00_start_here.ipynb", None, True)]
    assert lectures.names(project / "work") == ["00_start_here", "06_saliency"]
    assert "06_saliency.ipynb is new in work/" in result.output


def test_lab_takes_a_lecture_a_port_and_a_device(project, started, monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    given = ["lab", "saliency", "--port", "9000", "--no-browser", "--device", "cuda"]
    assert runner.invoke(cli.app, given).exit_code == 0
    assert started == [(project / "work", "06_saliency.ipynb", 9000, False)]
    assert os.environ["COURSE_DEVICE"] == "cuda"


def test_a_mistyped_lecture_gets_the_near_one(project, started):
    result = runner.invoke(cli.app, ["lab", "06_salency"])
    assert result.exit_code == 1
    assert "Did you mean '06_saliency'" in result.stderr
    assert started == []


def test_an_unknown_device_is_refused_with_the_choices():
    result = runner.invoke(cli.app, ["lab", "--device", "gpu"])
    assert result.exit_code == 2
    assert "cuda" in result.stderr


def test_a_folder_that_cannot_be_written_is_one_message(started, monkeypatch):
    def refuse(*_):
        raise student.WorkError("cannot write to your folder")

    monkeypatch.setattr(student, "sync", refuse)
    result = runner.invoke(cli.app, ["lab"])
    assert (result.exit_code, result.stderr) == (1, "cannot write to your folder\n")


def test_build_check_fails_on_drift_and_names_it(monkeypatch):
    monkeypatch.setattr(build, "build", lambda check: ["notebooks/06_saliency.ipynb"])
    result = runner.invoke(cli.app, ["build", "--check"])
    assert result.exit_code == 1
    assert "not up to date: notebooks/06_saliency.ipynb" in result.output
    assert runner.invoke(cli.app, ["build"]).exit_code == 0
    monkeypatch.setattr(build, "build", lambda check: [])
    assert runner.invoke(cli.app, ["build", "--check"]).exit_code == 0


def test_a_mistake_in_a_lecture_is_one_message(monkeypatch):
    def refuse(check):
        raise build.BuildError("lectures/06_saliency.py:3: unknown option 'exercize'")

    monkeypatch.setattr(build, "build", refuse)
    result = runner.invoke(cli.app, ["build"])
    assert result.exit_code == 1
    assert result.stderr == "lectures/06_saliency.py:3: unknown option 'exercize'\n"


@pytest.mark.parametrize(
    "said", ["6", "06", "saliency", "Saliency", "06_saliency", "06-saliency", "06_saliency.ipynb"]
)
def test_a_lecture_goes_by_number_title_or_both(project, said):
    assert lectures.find(said) == "06_saliency"


# --- JupyterLab --------------------------------------------------------------------------------


def test_jupyter_takes_this_pythons_kernel_whatever_the_user_has(tmp_path):
    """A kernel called python3 in the user's own folders, and on JUPYTER_PATH, is passed over."""
    for parts in (("home", "share", "jupyter"), ("other",)):
        kernel = tmp_path.joinpath(*parts, "kernels", "python3")
        kernel.mkdir(parents=True)
        (kernel / "kernel.json").write_text('{"argv": ["wrong"], "display_name": "wrong"}')
    own = {
        "JUPYTER_DATA_DIR": str(tmp_path / "home" / "share" / "jupyter"),
        "JUPYTER_PATH": str(tmp_path / "other"),
        "JUPYTER_PREFER_ENV_PATH": "0",
    }
    code = (
        "from jupyter_client import KernelManager; m = KernelManager(kernel_name='python3')\n"
        "print(m.format_kernel_cmd()[0])"
    )

    def kernel(variables):
        command = [sys.executable, "-c", code]
        return subprocess.run(
            command, env={**os.environ, **variables}, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert kernel(own) == "wrong"  # the trap is set
    assert kernel({**own, **lab.environment()}) == sys.executable


def test_jupyter_finds_the_courses_extensions():
    first = lab.environment()["JUPYTER_PATH"].split(os.pathsep)[0]
    assert Path(first) == Path(cli.__file__).parent / "jupyter"


def test_jupyterlab_asks_nobody_for_news_updates_or_extensions(tmp_path, monkeypatch):
    for name, value in lab.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
    from jupyterlab.handlers.announcements import NeverCheckForUpdate
    from jupyterlab.labapp import LabApp
    from jupyterlab_server.settings_utils import _get_overrides

    app = LabApp()
    app.parse_command_line(lab.arguments(tmp_path, "00_start_here.ipynb", browser=False))
    assert app.news_url is None
    assert app.check_for_updates_class is NeverCheckForUpdate
    assert app.extension_manager == "readonly"
    assert app.default_url == "/lab/tree/00_start_here.ipynb"
    overrides, error = _get_overrides(str(tmp_path))
    assert not error
    notification = overrides["@jupyterlab/apputils-extension:notification"]
    assert notification == {"checkForUpdates": False, "fetchNews": "false"}


def test_open_tabs_are_remembered_where_course_state_says(tmp_path, monkeypatch):
    """So that a test, or a second class, neither sees nor leaves a user's tabs."""
    monkeypatch.delenv("COURSE_STATE", raising=False)
    kept = f"--LabApp.workspaces_dir={Path(sys.prefix) / 'var' / 'course' / 'workspaces'}"
    assert kept in lab.arguments(tmp_path, "06_saliency.ipynb")
    monkeypatch.setenv("COURSE_STATE", str(tmp_path / "state"))
    kept = f"--LabApp.workspaces_dir={tmp_path / 'state' / 'workspaces'}"
    assert kept in lab.arguments(tmp_path, "06_saliency.ipynb")


def test_jupyter_writes_into_the_courses_folders_only(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_STATE", str(tmp_path / "state"))
    code = (
        "import json, os; os.environ['HOME'] = '/proc'; from jupyter_core import paths as p\n"
        "import IPython.paths, matplotlib\n"
        "print(json.dumps([p.jupyter_runtime_dir(), p.jupyter_data_dir(), p.jupyter_config_dir(),"
        " IPython.paths.get_ipython_dir(), matplotlib.get_configdir()]))"
    )
    variables = {**os.environ, **lab.environment()}
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True
    )
    assert all(Path(p).is_relative_to(tmp_path / "state") for p in json.loads(done.stdout))
    assert done.stderr == ""


def test_where_the_environment_cannot_be_written_the_state_is_the_users(tmp_path, monkeypatch):
    monkeypatch.delenv("COURSE_STATE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "file"))
    (tmp_path / "file").touch()  # below a file nobody can make a folder, root neither
    assert paths.state().is_relative_to(tmp_path / "home")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "file"))
    monkeypatch.setattr(paths.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "file" / "too"))
    assert paths.state().parent == tmp_path
    assert paths.state() == paths.state()


def test_kernels_are_encrypted_quiet_and_advise(tmp_path, monkeypatch):
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager
    from jupyterlab.labapp import LabApp

    app = LabApp()
    app.parse_command_line(lab.arguments(tmp_path, "x.ipynb"))
    policy = MappingKernelManager(config=app.config).transport_encryption
    code = (
        "import sys; from jupyter_client import KernelManager\n"
        f"m = KernelManager(kernel_name='python3', transport_encryption={policy!r})\n"
        "m.start_kernel(); c = m.blocking_client(); c.start_channels(); c.wait_for_ready(60)\n"
        "reply = c.execute_interactive('network(1)', timeout=60, output_hook=id)['content']\n"
        "print('\\n'.join(reply['traceback']))\n"
        "print(reply['ename'], m.curve_publickey is not None)\n"
        "c.stop_channels(); m.shutdown_kernel()"
    )
    cells = [{"cell_type": "code", "source": "network = 3"}]
    (tmp_path / "x.ipynb").write_text(json.dumps({"cells": cells}))
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "x.ipynb"))  # as the server does
    monkeypatch.setenv("COURSE_STATE", str(tmp_path))
    variables = {**os.environ, **lab.environment()}
    done = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "NameError True"
    assert "network is made further up, in `network = 3`" in done.stdout
    assert "without encryption" not in done.stderr


def test_students_see_nothing_of_nbgrader(monkeypatch):
    from jupyter_server.extension.config import ExtensionConfigManager
    from jupyterlab_server.config import get_page_config

    config = Path(cli.__file__).parent / "jupyter" / "config"
    installed = Path(sys.prefix) / "etc" / "jupyter"
    found = ExtensionConfigManager(read_config_path=[str(config), str(installed)])
    switched = found.get_jpserver_extensions()
    assert switched["jupyterlab"]
    assert not [name for name in switched if name.startswith("nbgrader") and switched[name]]
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(config))
    page = get_page_config([str(Path(sys.prefix) / "share" / "jupyter" / "labextensions")])
    assert "@jupyter/nbgrader" in page["disabledExtensions"]


def test_a_port_that_was_asked_for_is_not_exchanged(tmp_path):
    assert "--ServerApp.port_retries=0" in lab.arguments(tmp_path, "x.ipynb", port=9000)
    assert not any(g.startswith("--ServerApp.port") for g in lab.arguments(tmp_path, "x.ipynb"))


# --- The steps of `course test` ----------------------------------------------------------------


def named(name, **options):
    (found,) = [step for step in suite.steps(**options) if step.name == name]
    return found


def test_every_notebook_is_run_offline_with_a_time_limit_whole(project):
    (command,) = named("notebooks").commands
    assert command[1:3] == ["-m", "course_utils.commands.offline"]
    for name in ("00_start_here", "06_saliency"):
        for folder in ("notebooks", "solutions"):
            assert str(Path(folder, f"{name}.ipynb")) in command
    assert {"--nbval-lax", "--nbval-cell-timeout=120"} <= set(command)
    plugins = [name for flag, name in pairwise(command) if flag == "-p"]
    assert "nbval_mends" in plugins
    assert command[command.index("--dist") + 1] == "loadfile"


def test_the_longest_notebook_is_begun_first_and_an_unknown_one_before_it(project):
    (project / "notebooks" / "07_new.ipynb").write_text("{}")
    (project / "docs").mkdir()
    seconds = {"notebooks/00_start_here.ipynb": 9.5, "notebooks/06_saliency.ipynb": 60.0}
    seconds |= {"solutions/00_start_here.ipynb": 10.5, "solutions/06_saliency.ipynb": 71.0}
    figures = {"times": {"notebooks": seconds}}
    (project / "docs" / "costs.json").write_text(json.dumps(figures))
    (command,) = named("notebooks").commands
    found = [Path(word).as_posix() for word in command if word.endswith(".ipynb")]
    assert found[0] == "notebooks/07_new.ipynb"
    assert [seconds[name] for name in found[1:]] == [71, 60, 10.5, 9.5]
    assert "--no-loadscope-reorder" in command  # which would sort them by their cells


def test_quick_runs_lecture_00_and_leaves_slow_tests_out(project):
    (command,) = named("notebooks", quick=True).commands
    assert [Path(word).name for word in command if word.endswith(".ipynb")] == [
        "00_start_here.ipynb"
    ] * 2
    (tests,) = named("unit tests", quick=True).commands
    assert "not slow and not long" in tests
    assert named("browser", quick=True).skipped


def test_full_leaves_nothing_out_and_the_default_only_the_long(project):
    assert "-m" not in named("unit tests", full=True).commands[0][3:]
    assert "not long" in named("unit tests").commands[0]


def test_full_plays_other_processors():
    assert named("processors").skipped
    (command,) = named("processors", full=True).commands
    assert (Path(__file__).parents[2] / command[1]).is_file()
    assert "FILE" in named("processors", full=True, expression="saliency").skipped


def test_the_same_cells_run_on_both_kinds_of_device():
    (command,) = named("notebooks").commands
    assert command[command.index("--solutions-device") + 1] == "pretend"
    (command,) = named("notebooks", device="cuda").commands
    assert "--solutions-device" not in command


def test_the_pretend_accelerator_is_for_tests_only():
    assert "pretend" in runner.invoke(cli.app, ["test", "--device", "no"]).stderr
    refused = runner.invoke(cli.app, ["lab", "--device", "pretend"])
    assert refused.exit_code == 2
    assert "pretend" not in refused.stderr.replace("'pretend'", "", 1)


def test_a_course_without_notebooks_fails_its_notebooks_step(project):
    for folder in ("notebooks", "solutions"):
        for path in (project / folder).iterdir():
            path.unlink()
    (command,) = named("notebooks").commands
    assert "notebooks" in command  # an empty folder: pytest ends with "no tests collected"


def test_the_browser_step_says_why_it_is_left_out(project, monkeypatch):
    assert named("browser").skipped == "there are no browser tests"
    (project / "tests" / "browser").mkdir(parents=True)
    monkeypatch.setattr(suite, "chromium", lambda: None)
    assert "no Chromium found" in named("browser").skipped
    monkeypatch.setattr(suite, "chromium", lambda: "/usr/bin/chromium")
    assert named("browser").commands


FREED = """
import resource
from array import array
for _ in range(50):
    one = array("b", bytes(48 << 20))
    del one
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="for the memory of glibc only")
def test_steps_use_the_memory_again_that_they_freed(tmp_path):
    variables = suite.environment(tmp_path)
    without = {name: value for name, value in variables.items() if name != "GLIBC_TUNABLES"}
    faults = [
        int(subprocess.run([sys.executable, "-c", FREED], env=env, stdout=PIPE, check=True).stdout)
        for env in (variables, without)
    ]
    assert faults[0] < faults[1] / 5


def test_processes_of_tests_spare_a_grammar(tmp_path):
    """It takes as long to compile as all the rest of Jupyter's libraries to import."""
    (tmp_path / "test_lark.py").write_text(
        "import sys\n\ndef test_it():\n    assert 'nbformat' in sys.modules\n"
        "    assert 'lark' not in sys.modules\n"
    )
    variables = suite.environment(tmp_path)
    done = subprocess.run(
        suite._pytest(1, "test_lark.py"), cwd=tmp_path, env=variables, stdout=PIPE, text=True
    )
    assert "1 passed" in done.stdout


def test_steps_run_with_one_thread_the_device_and_no_settings_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    variables = suite.environment(tmp_path, "cuda")
    assert not variables["PYTHONDONTWRITEBYTECODE"]
    assert variables["OMP_NUM_THREADS"] == "1"
    assert variables["COURSE_DEVICE"] == "cuda"
    tests = paths.root() / "tests"
    assert variables["PYTHONPATH"].split(os.pathsep)[:2] == [str(tests), str(tests / "pretend")]
    assert suite.environment(tmp_path)["COURSE_DEVICE"] == "cpu"
    assert variables["IPYTHONDIR"].startswith(str(tmp_path))
    assert variables["COURSE_STATE"].startswith(str(tmp_path))


def test_processes_of_tests_read_any_letters(tmp_path, monkeypatch):
    """In a folder with such a name, started from a console that has no such letters."""
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    command = [sys.executable, "-c", "print(input())"]
    variables = suite.environment(tmp_path)
    done = subprocess.run(command, input="看懂CNN".encode(), capture_output=True, env=variables)
    assert done.stdout.decode().strip() == "看懂CNN", done.stderr.decode()


def python(code):
    return [sys.executable, "-c", code]


def test_a_failing_step_does_not_stop_the_others(capfd):
    chosen = [
        suite.Step("first", [python("raise SystemExit(3)"), python("print('second half')")]),
        suite.Step("second", [python("print('here')")]),
        suite.Step("third", skipped="no browser"),
    ]
    assert suite.run(chosen) == 1
    out = capfd.readouterr().out
    assert out.index("== first") < out.index("second half") < out.index("== second")
    assert "(exit 3)" in out
    assert "(no browser)" in out
    assert out.rstrip().endswith("steps: 1 passed, 1 failed, 1 skipped")


def test_all_steps_passing_is_success(capfd):
    assert suite.run([suite.Step("only", [python("pass")])]) == 0


def test_ctrl_c_ends_the_run_with_what_there_is(capfd, monkeypatch):
    results = iter([suite.Result("first", "passed", 1.0)])

    def run_step(*_):
        try:
            return next(results)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(suite, "run_step", run_step)
    assert suite.run([suite.Step("first"), suite.Step("second")]) == 130
    assert "steps: 1 passed, 0 failed, 0 skipped" in capfd.readouterr().out


@pytest.mark.parametrize(("filtered", "outcome"), [(True, "skipped"), (False, "failed")])
def test_selecting_nothing_is_a_failure_unless_asked_for(filtered, outcome):
    step = suite.Step("tests", [python("raise SystemExit(5)")])
    assert suite.run_step(step, dict(os.environ), filtered).outcome == outcome


def test_quick_and_full_exclude_each_other():
    result = runner.invoke(cli.app, ["test", "--quick", "--full"])
    assert (result.exit_code, "exclude" in result.stderr) == (1, True)


# --- The layering rule -------------------------------------------------------------------------


def test_the_layering_rule_notices_an_import_that_points_up(tmp_path):
    """The rule of pyproject.toml on a copy of the package in which paths imports show."""
    import shutil

    root = paths.root()
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root / "course_utils", tmp_path / "course_utils", ignore=ignore)
    shutil.copy(root / "pyproject.toml", tmp_path)

    def check():
        code = suite._lint_imports()[2]
        command = [sys.executable, "-c", "import sys; sys.path.insert(0, '.'); " + code]
        return subprocess.run(
            [*command, "--no-logo", "--no-cache"], cwd=tmp_path, capture_output=True, text=True
        )

    assert check().returncode == 0, check().stdout
    with (tmp_path / "course_utils" / "common" / "paths.py").open("a") as file:
        file.write("\n\ndef upwards():\n    import course_utils.commands.cli\n")
    broken = check()
    assert broken.returncode == 1
    assert "course_utils.common.paths -> course_utils.commands.cli" in broken.stdout


def test_the_seconds_of_steps_and_notebooks_are_kept(tmp_path):
    write = (
        "import os; open(os.environ['COURSE_TIMES'], 'w').write('{\"solutions/06.ipynb\": 2.5}')"
    )
    steps = [suite.Step("notebooks", [python(write)]), suite.Step("browser", skipped="none")]
    assert suite.run(steps, times=tmp_path / "times.json") == 0
    kept = json.loads((tmp_path / "times.json").read_text())
    assert kept["notebooks"] == {"solutions/06.ipynb": 2.5}
    assert kept["steps"].keys() == {"notebooks"}
    assert isinstance(kept["steps"]["notebooks"], float)
