"""Landlock: this process gives up, for good, all files but those it names.

What is given up holds for every process that it starts, and no right on a file outweighs it. See
"Landlock: unprivileged access control" in the Linux kernel's user-space API guide, whose numbers
these are, and the manual page landlock(7).
"""

import ctypes
import errno
import os
import stat
import struct

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls, the same numbers on every machine
_ASK_VERSION, _BELOW = 1, 1
_EXECUTE, _WRITE, _READ, _LIST, _TRUNCATE, _CONTROL = (1 << bit for bit in (0, 1, 2, 3, 14, 15))
_SINCE = {1: (1 << 13) - 1, 2: 1 << 13, 3: _TRUNCATE, 5: _CONTROL}  # rights by version
_OF_ONE_FILE = _EXECUTE | _WRITE | _READ | _TRUNCATE | _CONTROL
_BIND_AND_CONNECT, _SOCKETS_AND_SIGNALS = 3, 3


def abi() -> int:
    """The version of Landlock that this kernel has; 0 where there is none, or it is off."""
    try:
        return _call(_CREATE, None, 0, _ASK_VERSION)
    except (OSError, AttributeError):
        return 0


def restrict(read: list[str], write: list[str]) -> None:
    """Gives up all files but some, and, where the kernel can, TCP and other processes.

    The kernel asks that the process cannot gain rights (`PR_SET_NO_NEW_PRIVS`) and restricts one
    thread: this must happen before there is a second one.

    Args:
        read: files and folders that can be read and executed, with all that is in them.
        write: files and folders that can be used in every way.

    Raises:
        OSError: it does not work, and nothing is restricted.
    """
    version = abi()
    if version < 1:
        raise OSError(errno.ENOSYS, "this kernel has no Landlock")
    handled = sum(rights for since, rights in _SINCE.items() if since <= version)
    network = _BIND_AND_CONNECT if version >= 4 else 0
    scoped = _SOCKETS_AND_SIGNALS if version >= 6 else 0
    wanted = struct.pack("=QQQ", handled, network, scoped)
    rules = _call(_CREATE, wanted, len(wanted), 0)
    try:
        for place in read:
            _allow(rules, place, handled & (_EXECUTE | _READ | _LIST))
        for place in write:
            _allow(rules, place, handled)
        _call(_RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, place: str, rights: int) -> None:
    found = os.open(place, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(found).st_mode):
            rights &= _OF_ONE_FILE
        _call(_ADD, rules, _BELOW, struct.pack("=Qi", rights, found), 0)
    finally:
        os.close(found)


def _call(number: int, *arguments: int | bytes | None) -> int:
    """A system call that the C library has no function for."""
    system = ctypes.CDLL(None, use_errno=True)
    system.syscall.restype = ctypes.c_long
    given = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments]
    answer = system.syscall(ctypes.c_long(number), *given)
    if answer < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"system call {number}: {os.strerror(code)}")
    return answer
