"""The network is really cut off, by either means, and Jupyter's loopback still works.

No packet leaves: UDP sockets are connected, not written to, and addresses are documentation ones.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap

import pytest

from course_utils.commands import offline

PROBE = """
import errno, json, os, socket, threading, urllib.request
from course_utils.commands import offline

said = {"cut": offline.is_cut(), "means": os.environ["COURSE_OFFLINE"], "uid": os.getuid()}
if said["cut"]:  # otherwise trying would send something
    try:
        socket.create_connection(("192.0.2.1", 9), timeout=20)
    except OSError as error:
        said["tcp"] = errno.errorcode.get(error.errno, repr(error))
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 9))
    except OSError as error:
        said["udp"] = errno.errorcode.get(error.errno, repr(error))
    try:
        urllib.request.urlopen("http://course.invalid/", timeout=20)
    except OSError as error:
        said["url"] = type(error.reason).__name__
    try:
        said["reverse"] = socket.gethostbyaddr("192.0.2.1")
    except OSError as error:
        said["reverse"] = type(error).__name__ in ("gaierror", "herror")
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(("localhost", server.getsockname()[1]), timeout=20)
client.sendall(b"hello")
said["loopback"] = server.accept()[0].recv(5).decode()
print(json.dumps(said))
"""

MEANS = [
    pytest.param(
        "namespace",
        marks=pytest.mark.skipif(not offline.can_unshare(), reason="namespaces refused here"),
    ),
    "socket block",
]


def python(means, code, **kwargs):
    argv = offline.command([sys.executable, "-c", textwrap.dedent(code)], means)
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, **kwargs)


@pytest.mark.parametrize("means", MEANS)
def test_nothing_leaves_and_loopback_works(means):
    done = python(means, PROBE.replace("os.getuid()", "getattr(os, 'getuid', int)()"))
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"offline: the network is cut off by a {means}\n")
    said = json.loads(done.stdout)
    assert said == {
        "cut": True,
        "means": means,
        "uid": getattr(os, "getuid", int)(),
        "tcp": "ENETUNREACH",
        "udp": "ENETUNREACH",
        "url": "gaierror",
        "reverse": True,
        "loopback": "hello",
    }


@pytest.mark.parametrize("means", MEANS)
def test_processes_started_inside_are_cut_off_too(means):
    code = """
        import subprocess, sys
        inner = "from course_utils.commands import offline; print(offline.is_cut())"
        subprocess.run([sys.executable, "-c", inner], check=True)
    """
    assert python(means, code).stdout == "True\n"


@pytest.mark.parametrize("means", MEANS)
def test_a_jupyter_kernel_runs_and_is_cut_off(means):
    code = """
        from jupyter_client.manager import start_new_kernel
        manager, client = start_new_kernel(kernel_name="python3", startup_timeout=90)
        code = "from course_utils.commands import offline; print('kernel', offline.is_cut())"
        client.execute_interactive(code, timeout=60)
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    """
    done = python(means, code)
    assert done.stdout == "kernel True\n", done.stderr


def test_without_means_the_first_one_allowed_is_taken():
    done = python(None, "import os; print(os.environ['COURSE_OFFLINE'])")
    expected = "namespace" if offline.can_unshare() else "socket block"
    assert done.stdout == f"{expected}\n"


def test_is_cut_tells_the_difference():
    """Uncut where there is a route: a server on this machine's own address is no way out."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("198.51.100.1", 9))
    except OSError:
        pytest.skip("this machine has no network of its own")
    assert not offline.is_cut()


@pytest.mark.parametrize("means", MEANS)
def test_exit_status_arguments_and_folder_are_the_commands_own(means, tmp_path):
    code = "import os, sys; print(sys.argv[1:], os.getcwd()); sys.exit(7)"
    argv = offline.command([sys.executable, "-c", code, "--", "-x", "a b"], means)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 7
    assert done.stdout == f"['--', '-x', 'a b'] {os.path.realpath(tmp_path)}\n"


def test_command_that_does_not_exist_is_named():
    done = subprocess.run(
        offline.command(["no-such-program"]), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 127
    assert "cannot start 'no-such-program'" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
def test_a_request_to_end_reaches_the_command():
    code = "import time; print('up', flush=True); time.sleep(60)"
    argv = offline.command([sys.executable, "-c", code])
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == b"up\n"
        process.terminate()
        assert process.wait(timeout=30) == 128 + signal.SIGTERM


def test_socket_block_closes_proxies_and_keeps_the_hidden_sitecustomize(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.was_there = True\n")
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path),
        "https_proxy": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    code = """
        import os, sys
        print(sys.was_there, [name for name in os.environ if name.lower().endswith("_proxy")])
    """
    assert python("socket block", code, env=environment).stdout == "True []\n"


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *((h, True) for h in ("localhost", "127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1")),
        *((h, True) for h in ("", None, "0.0.0.0", "::", b"localhost")),
        *((h, False) for h in ("192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "fe80::1%eth0")),
        *((h, False) for h in ("course.invalid", "localhost.example", "127.0.0.1.example")),
    ],
)
def test_is_loopback(host, local):
    assert offline.is_loopback(host) is local


def test_unknown_means():
    with pytest.raises(ValueError, match="means='firewall' is not one of 'namespace'"):
        offline.command(["true"], means="firewall")
