"""A seccomp filter for workers: system calls that no exercise needs and that widen the attack.

It refuses what reaches other processes, makes namespaces or mounts, talks to kernel subsystems with
a history of holes, or takes memory that no limit counts, as what waits in a socket does. The kernel
reads it as a program of the classic Berkeley packet filter (McCanne & Jacobson, 1993), here made by
hand.
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
        **{"socket": 41, "socketpair": 53},
    },
    "aarch64": {
        **{"ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272},
        **{"unshare": 97, "setns": 268, "mount": 40, "umount2": 39, "pivot_root": 41},
        **{"bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "open_by_handle_at": 265},
        **{"add_key": 217, "request_key": 218, "keyctl": 219, "kexec_load": 104},
        **{"init_module": 105, "finit_module": 273, "memfd_create": 279, "memfd_secret": 447},
        **{"shmget": 194, "msgget": 186, "semget": 190, "clone": 220},
        **{"socket": 198, "socketpair": 199},
    },
}
"""System calls by machine; the newer ones below have one number everywhere."""

SHARED = {
    "x86_64": {
        **{"setpgid": 109, "setsid": 112},
        **{"chmod": 90, "fchmod": 91, "fchmodat": 268, "utime": 132, "utimes": 235},
        **{"chown": 92, "fchown": 93, "lchown": 94, "fchownat": 260},
        **{"futimesat": 261, "utimensat": 280, "setxattr": 188, "lsetxattr": 189},
        **{"fsetxattr": 190, "removexattr": 197, "lremovexattr": 198, "fremovexattr": 199},
        **{"shmat": 30, "shmctl": 31, "semop": 65, "semctl": 66, "semtimedop": 220},
        **{"msgsnd": 69, "msgrcv": 70, "msgctl": 71, "mq_open": 240, "mq_unlink": 241},
        **{"inotify_init": 253, "inotify_init1": 294, "fanotify_init": 300},
        **{"setpriority": 141, "sched_setparam": 142, "sched_setscheduler": 144},
        **{"sched_setaffinity": 203, "sched_setattr": 314, "ioprio_set": 251},
        "prlimit64": 302,
    },
    "aarch64": {
        **{"setpgid": 154, "setsid": 157},
        **{"fchmod": 52, "fchmodat": 53, "fchownat": 54, "fchown": 55, "utimensat": 88},
        **{"setxattr": 5, "lsetxattr": 6, "fsetxattr": 7},
        **{"removexattr": 14, "lremovexattr": 15, "fremovexattr": 16},
        **{"shmat": 196, "shmctl": 195, "semop": 193, "semctl": 191, "semtimedop": 192},
        **{"msgsnd": 189, "msgrcv": 188, "msgctl": 187, "mq_open": 180, "mq_unlink": 181},
        **{"inotify_init1": 26, "fanotify_init": 262},
        **{"setpriority": 140, "sched_setparam": 118, "sched_setscheduler": 119},
        **{"sched_setaffinity": 122, "sched_setattr": 274, "ioprio_set": 30},
        "prlimit64": 261,
    },
}
"""What reaches beyond a worker that has no namespaces: another process group, files' modes, owners
and times, the names of new files, queues and memory between processes, others' priorities and
limits."""

_SHARED_EVERYWHERE = {"fchmodat2": 452, "setxattrat": 463, "removexattrat": 466}
_SHARED_EVERYWHERE |= {"file_setattr": 469}
_EVERYWHERE = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}
_EVERYWHERE |= {"open_tree": 428, "move_mount": 429, "fsopen": 430, "fsmount": 432}
_CLONE3 = 435
_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000  # the second set of numbers that x86_64 understands
_NEW_NAMESPACES, _SIBLING = 0x7E020000, 0x8000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in what the filter sees
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000


def program(machine: str | None = None, shared: bool = False) -> bytes | None:
    """The filter for a machine such as "x86_64", by default this one; None for an unknown one.

    Args:
        machine: what the kernel calls it.
        shared: the worker has no namespaces of its own; refuse what is in `SHARED` as well.
    """
    machine = machine or platform.machine()
    if machine not in _MACHINES:
        return None
    numbers = NUMBERS[machine] | _EVERYWHERE
    if shared:
        numbers |= SHARED[machine] | _SHARED_EVERYWHERE
    clone, limits = numbers.pop("clone"), numbers.pop("prlimit64", None)
    refuse = _step(_RETURN, _ERROR | errno.EPERM)
    steps = [_step(_LOAD, _MACHINE), _step(_EQUAL, _MACHINES[machine], 1, 0), _step(_RETURN, _KILL)]
    steps += [_step(_LOAD, _NUMBER), _step(_AT_LEAST, _X32, 0, 1), refuse]
    for number in numbers.values():
        steps += [_step(_EQUAL, number, 0, 1), refuse]
    if limits is not None:  # its first argument is 0 for one's own
        steps += [_step(_EQUAL, limits, 0, 4), _step(_LOAD, _FIRST_ARGUMENT)]
        steps += [_step(_EQUAL, 0, 1, 0), refuse, _step(_LOAD, _NUMBER)]
    # The C library falls back to clone, whose flags a filter can read; clone3 hides them.
    steps += [_step(_EQUAL, _CLONE3, 0, 1), _step(_RETURN, _ERROR | errno.ENOSYS)]
    steps += [_step(_EQUAL, clone, 0, 3), _step(_LOAD, _FIRST_ARGUMENT)]
    flags = _NEW_NAMESPACES | _SIBLING * shared
    steps += [_step(_ANY_BIT, flags, 0, 1), refuse, _step(_RETURN, _ALLOW)]
    return b"".join(steps)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction; jumps count the instructions that are left out."""
    return struct.pack("=HBBI", code, if_true, if_false, value)
