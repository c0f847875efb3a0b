"""A seccomp filter for workers: system calls that no exercise needs and that widen the attack.

It refuses what reaches other processes, makes namespaces or mounts, talks to kernel subsystems with
a history of holes, or takes memory that no limit counts. The kernel reads it as a program of the
classic Berkeley packet filter (McCanne & Jacobson, 1993), here made by hand.
"""

import errno
import platform
import struct

NUMBERS = {
    "x86_64": {
        **{"ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312},
        **{"unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155},
        **{"bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "open_by_handle_at": 304},
        **{"add_key": 248, "request_key": 249, "keyctl": 250, "kexec_load": 246},
        **{"init_module": 175, "finit_module": 313, "memfd_create": 319, "memfd_secret": 447},
        **{"shmget": 29, "msgget": 68, "semget": 64, "clone": 56},
    },
    "aarch64": {
        **{"ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272},
        **{"unshare": 97, "setns": 268, "mount": 40, "umount2": 39, "pivot_root": 41},
        **{"bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "open_by_handle_at": 265},
        **{"add_key": 217, "request_key": 218, "keyctl": 219, "kexec_load": 104},
        **{"init_module": 105, "finit_module": 273, "memfd_create": 279, "memfd_secret": 447},
        **{"shmget": 194, "msgget": 186, "semget": 190, "clone": 220},
    },
}
"""System calls by machine; the newer ones below have one number everywhere."""

_EVERYWHERE = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}
_EVERYWHERE |= {"open_tree": 428, "move_mount": 429, "fsopen": 430, "fsmount": 432}
_CLONE3 = 435
_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000  # the second set of numbers that x86_64 understands
_NEW_NAMESPACES = 0x7E020000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in what the filter sees
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000


def program(machine: str | None = None) -> bytes | None:
    """The filter for a machine such as "x86_64", by default this one; None for an unknown one."""
    machine = machine or platform.machine()
    if machine not in _MACHINES:
        return None
    numbers = dict(NUMBERS[machine])
    clone = numbers.pop("clone")
    refuse = _step(_RETURN, _ERROR | errno.EPERM)
    steps = [_step(_LOAD, _MACHINE), _step(_EQUAL, _MACHINES[machine], 1, 0), _step(_RETURN, _KILL)]
    steps += [_step(_LOAD, _NUMBER), _step(_AT_LEAST, _X32, 0, 1), refuse]
    for number in [*numbers.values(), *_EVERYWHERE.values()]:
        steps += [_step(_EQUAL, number, 0, 1), refuse]
    # The C library falls back to clone, whose flags a filter can read; clone3 hides them.
    steps += [_step(_EQUAL, _CLONE3, 0, 1), _step(_RETURN, _ERROR | errno.ENOSYS)]
    steps += [_step(_EQUAL, clone, 0, 3), _step(_LOAD, _FIRST_ARGUMENT)]
    steps += [_step(_ANY_BIT, _NEW_NAMESPACES, 0, 1), refuse, _step(_RETURN, _ALLOW)]
    return b"".join(steps)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction; jumps count the instructions that are left out."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
