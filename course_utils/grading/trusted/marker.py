"""One marking process of several: takes an order as a line of JSON, answers with the result.

`engine` starts this file as a module. It ends with its engine, whatever it is doing then, and
everything it started ends with it.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from course_utils.grading.trusted import warm

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Answers orders until there are no more."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever prints here is no reply
    _end_with_parent(int(sys.argv[3]))
    from course_utils.grading.trusted import sandbox

    sandbox.share_users(int(sys.argv[1]), int(sys.argv[2]))
    parent, why = _parent()
    for reply in _replies(parent, why):
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _parent() -> "tuple[warm.Parent | None, str]":
    """What forks the workers, and the exercises, which it does not wait for; or why nothing does.

    Without one, workers are started anew: the same results, seconds later.
    """
    from course_utils.checking import core
    from course_utils.grading.trusted import sandbox, warm

    parent = why = None
    with contextlib.suppress(sandbox.SandboxError):  # said when there is something to grade
        parent = warm.parent(sandbox.walls())
    core.all_()
    try:
        if parent is not None:
            parent.ready()
    except sandbox.SandboxError as error:
        parent, why = None, str(error)
    return parent, why or ""


def _replies(parent: "warm.Parent | None", why: str) -> Iterator[dict]:
    yield {"ready": True}
    for line in sys.stdin:
        yield reply(json.loads(line), parent) | ({"slow": why} if why else {})


def reply(order: dict, parent: "warm.Parent | None" = None) -> dict:
    """What comes of one order: `result`, or `refused` (no sandbox), or `error`.

    Args:
        order: `handed`, `lecture`, `seed`, `limits`, `trust`, `draw`, as `engine` makes it.
        parent: forks the workers.
    """
    from course_utils.grading.trusted import collect, judge, sandbox

    handed = collect.Handed(**order["handed"] | {"inside": tuple(order["handed"]["inside"])})
    options = {key: order[key] for key in ("lecture", "seed", "trust", "draw")}
    try:
        result = judge.grade(
            Path(handed.notebook),
            student=handed.student,
            limits=sandbox.Limits(**order["limits"]),
            read=lambda: collect.read(handed),
            parent=parent,
            **options,
        )
    except sandbox.SandboxError as error:
        return {"refused": str(error)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:500]}
    return {"result": result}


def _end_with_parent(parent: int) -> None:
    """No orphan goes on writing; an interruption is the engine's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise SystemExit("the engine has ended")


if __name__ == "__main__":
    main()
