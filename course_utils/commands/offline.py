"""Run a command with the network cut off, loopback up.

    python -m course_utils.commands.offline -- COMMAND

Jupyter kernels talk to their notebook over 127.0.0.1, so cutting everything would cut them too.
Two means, and the one in use is said on stderr:

- `namespace` (Linux): a network namespace of its own in which only loopback exists. Nothing that
  the command starts can reach out, in whatever language it is written.
- `socket block` (elsewhere, or where namespaces are refused): every Python started by the command,
  kernels included, refuses connections and name look-ups other than loopback. It does not bind
  programs that are not Python, nor `python -I`.

Only the standard library is used: this runs before anything else is imported.
"""

import argparse
import contextlib
import ctypes
import errno
import ipaddress
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

MEANS = ("namespace", "socket block")
VARIABLE = "COURSE_OFFLINE"  # set for the command: which means cuts it off

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
# Addresses for documentation (RFC 5737, RFC 3849): they belong to nobody.
_NOBODY = ((socket.AF_INET, "203.0.113.1"), (socket.AF_INET6, "2001:db8::1"))
_CONNECTING = ("socket.connect", "socket.sendto", "socket.sendmsg")
_NAMING = ("socket.getaddrinfo", "socket.gethostbyname")  # asks only for what is no number
_REVERSE = ("socket.gethostbyaddr", "socket.getnameinfo")


def command(argv: list[str], means: str | None = None) -> list[str]:
    """The command line that runs `argv` without a network.

    Args:
        argv: the command and its arguments.
        means: "namespace" or "socket block"; by default the first that this system allows.

    Returns:
        An argument list for `subprocess`; its exit status is that of `argv`.

    Raises:
        ValueError: for another `means`.
    """
    if means is not None and means not in MEANS:
        raise ValueError(f"means={means!r} is not one of {', '.join(map(repr, MEANS))}")
    chosen = ["--means", means] if means else []
    return [sys.executable, "-m", "course_utils.commands.offline", *chosen, "--", *argv]


def is_cut() -> bool:
    """Whether this process has no way out, IPv4 or IPv6.

    Asks the system for a route by connecting a UDP socket, which sends no packet, to an address
    that belongs to nobody.
    """
    return not any(_has_route(family, host) for family, host in _NOBODY)


def _has_route(family: socket.AddressFamily, host: str) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))
    except OSError:
        return False
    return True


def can_unshare() -> bool:
    """Whether this system lets us make a network namespace with loopback in it.

    Tried in a forked child, because a process that entered a namespace cannot leave it.
    """
    if not sys.platform.startswith("linux"):
        return False
    child = os.fork()
    if child == 0:
        with contextlib.suppress(OSError):
            _unshare()
            os._exit(0)
        os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def _unshare() -> None:
    """Move this process into a new network namespace and bring its loopback up.

    The user keeps its own number: programs such as Chromium and Jupyter treat root differently.

    Raises:
        OSError: where the system refuses.
    """
    user, group = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:  # without the right to, a user namespace grants it
        if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare refused")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _raise_loopback()


def _raise_loopback() -> None:
    """`ip link set lo up`, without needing iproute2."""
    import fcntl  # not on Windows

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def is_loopback(host: object) -> bool:
    """Whether a host, as given to a socket, is this machine: localhost, 127.0.0.0/8, ::1, any."""
    name = host.decode(errors="replace") if isinstance(host, bytes) else host
    if name is None or name in ("", "localhost", "localhost.localdomain", "ip6-localhost"):
        return True
    address = _address(name)
    inner = getattr(address, "ipv4_mapped", None) or address
    return inner is not None and (inner.is_loopback or inner.is_unspecified)


def _address(host: object) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host is written as; None for a name."""
    try:
        return ipaddress.ip_address(str(host).split("%")[0])
    except ValueError:
        return None


def block() -> None:
    """Let this Python connect to loopback and look up its names only; it cannot be taken back.

    An audit hook sees every socket, those of C modules that use Python's sockets included. The
    errors are those of a machine without a network, so that programs react as they would there.
    """
    sys.addaudithook(_refuse)


def _refuse(event: str, args: tuple) -> None:
    if event in _CONNECTING:
        # Unix sockets, and the empty address of a connected socket, stay on this machine.
        sock, address = args
        internet = sock.family in (socket.AF_INET, socket.AF_INET6)
        if internet and address and not is_loopback(address[0]):
            words = f"the network is cut off (course_utils.commands.offline): {address[0]}"
            raise OSError(errno.ENETUNREACH, words)
    elif event in _NAMING + _REVERSE:
        host = args[0][0] if isinstance(args[0], tuple) else args[0]
        numeric = event in _NAMING and _address(host) is not None  # needs no look-up
        if not numeric and not is_loopback(host):
            words = f"the network is cut off (course_utils.commands.offline): {host!r}"
            raise socket.gaierror(socket.EAI_NONAME, words)


# Python imports a module of this name at its start; the first one found wins, so it also runs the
# one it hides.
_SITECUSTOMIZE = """\
import importlib.machinery, runpy, sys
runpy.run_path({offline!r}, run_name="course_offline")["block"]()
here = {folder!r}
hidden = importlib.machinery.PathFinder.find_spec(
    "sitecustomize", [p for p in sys.path if p != here]
)
if hidden is not None and hidden.origin:
    runpy.run_path(hidden.origin, run_name="sitecustomize")
"""


def _block_children(folder: str, environment: dict[str, str]) -> dict[str, str]:
    """The environment in which every Python blocks its sockets; `folder` is ours to write in."""
    text = _SITECUSTOMIZE.format(offline=str(Path(__file__).resolve()), folder=folder)
    (Path(folder) / "sitecustomize.py").write_text(text, encoding="utf-8")
    # A proxy on loopback would be a way out.
    kept = {k: v for k, v in environment.items() if not k.lower().endswith("_proxy")}
    before = kept.get("PYTHONPATH")
    return kept | {"PYTHONPATH": os.pathsep.join([folder, before] if before else [folder])}


def _run(argv: list[str], environment: dict[str, str]) -> int:
    """Run the command and pass a request to end on to it; its exit status, 128 + n for signal n."""
    try:
        process = subprocess.Popen(argv, env=environment)
    except OSError as error:
        print(f"offline: cannot start {argv[0]!r}: {error.strerror}", file=sys.stderr)
        return 127
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the command by itself
    status = process.wait()
    return status if status >= 0 else 128 - status


def main(arguments: list[str] | None = None) -> int:
    """Run a command without a network; see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.commands.offline", description=__doc__
    )
    parser.add_argument("--means", choices=MEANS, help="default: the first this system allows")
    parser.add_argument("argv", nargs="+", metavar="CMD", help="the command, after --")
    options = parser.parse_args(arguments)
    if options.means == "namespace" and not can_unshare():
        parser.error("this system refuses network namespaces; use --means 'socket block'")
    means = options.means or (MEANS[0] if can_unshare() else MEANS[1])
    print(f"offline: the network is cut off by a {means}", file=sys.stderr, flush=True)
    environment = dict(os.environ) | {VARIABLE: means}
    if means == "namespace":
        _unshare()
        return _run(options.argv, environment)
    with tempfile.TemporaryDirectory(prefix="course-offline-") as folder:
        return _run(options.argv, _block_children(folder, environment))


if __name__ == "__main__":
    sys.exit(main())
