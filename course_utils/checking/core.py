"""What an exercise is: its cases, its known mistakes, and the words exchanged about an answer.

Everything that crosses to a process running a student's code is data: arguments are arrays,
numbers, strings, lists and dicts of these, or a `NetworkSpec` that is rebuilt on the other side;
results are arrays, numbers, strings, and lists, tuples and dicts of these. The way of an answer:

    pieces   = sources.assemble(cells, name)          the cells -> the code the function needs
    outcomes = running.answers(pieces, cases)         one `Outcome` a case, never an exception
    verdict  = judging.judge(exercise, cases, outcomes, pieces)       trusted, pure

`running.answers` is `running.namespace(pieces)`, then `running.run(function, case)` for each case.

`sources`, `running` and `networks` import no reference and may be given to a sandbox.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module

from course_utils.common.errors import unknown

MODULES = (
    "start_here",
    "filters",
    "activations",
    "patches",
    "last_layer",
    "occlusion",
    "saliency",
    "guided",
    "cam",
    "trust",
    "ascent",
    "adversarial",
    "dream",
    "inversion",
    "texture",
    "style",
    "fast_style",
    "attention",
)
"""The lectures with exercises, in the syllabus' order: a module of this package each."""


@dataclass(frozen=True)
class NetworkSpec:
    """A network as data; `networks.build` makes it, the same on every machine.

    Attributes:
        name: "tiny_cnn", "tiny_fork", or a network of the zoo such as "squeezenet1_1".
        seed: of the tiny network's weights.
        classes: logits of the tiny network.
    """

    name: str = "tiny_cnn"
    seed: int = 0
    classes: int = 5


@dataclass(frozen=True)
class Case:
    """The arguments of one call.

    Attributes:
        args: by name, in the order of the function's arguments; passed by position.
        note: what is special about them, as in "on ...", e.g. "a batch of three images".
        repeat: the function is called a second time on the same objects: it must not have changed
            them so that the answer differs.
        slopes: for a loss, the arguments by which a descent differentiates it: tensors, or dicts
            of tensors. The gradient by each is compared as well.
        ties: equals come in an order that many ways of sorting do not keep. Known mistakes are
            recognised by the other cases, too: whoever ranks by something else may sort anyhow.
    """

    args: dict[str, object]
    note: str = ""
    repeat: bool = False
    slopes: tuple[str, ...] = ()
    ties: bool = False


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that students are known to give, recognised by its results.

    Attributes:
        name: an identifier, e.g. "no_abs".
        function: the wrong answer as code, with the signature of the reference.
        sentence: what a good tutor would say about it.
    """

    name: str
    function: Callable
    sentence: str


@dataclass(frozen=True)
class Picture:
    """How an answer is drawn: on which case, and how its result becomes one map or picture.

    Attributes:
        case: makes the arguments; a network of the zoo on a photo, under two seconds.
        to_map: the result of that case -> a map (H,W), or a picture (3,H,W) in 0-1.
        signed: of a map, whether zero lies in the middle of the colours.
        subject: what the map shows, for its text alternative.
    """

    case: Callable[[], Case]
    to_map: Callable[[object], object]
    signed: bool
    subject: str


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes:
        name: the function's name, the same in the notebook and in the reference.
        lecture: e.g. "06_saliency".
        title: a few words.
        reference: the course's public helper; there is no second copy of the solution.
        cases: seed -> cases; `check` uses `PUBLIC_SEED`, a grader a secret one.
        mistakes: known wrong answers.
        result: what is to be returned, in words, e.g. "one map (H,W) for each image".
        noun: what a result is called in a sentence, e.g. "map".
        axes: what the axes of the result count, one word each, e.g. ("image", "row", "column");
            for a result of several parts a tuple of such words for each; where `parts` are given
            and `axes` is one tuple of words, they name the nested lists in which the parts lie.
            A target with fewer axes has the first of them.
        parts: what the parts of the result are called after "your", e.g. ("weights", "loss").
        hints: for a student who is stuck, from gentle to plain.
        points: for a right answer. `check` gives a wrong one none; grading gives it its share of
            right cases, unless the assignment says otherwise.
        tolerance: the largest difference that still counts as right, as a share of the largest
            absolute value of the target.
        picture: how the answer is drawn, or None.
    """

    name: str
    lecture: str
    title: str
    reference: Callable
    cases: Callable[[int], list[Case]]
    mistakes: tuple[Mistake, ...]
    result: str
    noun: str = "result"
    axes: tuple[str, ...] | tuple[tuple[str, ...], ...] = ()
    parts: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    points: int = 1
    tolerance: float = 1e-3
    picture: Picture | None = None

    @property
    def arguments(self) -> list[str]:
        """The names of the function's arguments, in order."""
        return list(inspect.signature(self.reference).parameters)


PUBLIC_SEED = 0
"""The seed of the cases that `check` uses."""


@dataclass(frozen=True)
class Fault:
    """Why a call gave no result.

    Attributes:
        kind: the exception's class name, e.g. "NameError"; "TimeLimit" for one that was stopped.
        message: the exception's text.
        line: the student's own line in which it happened, stripped; empty where unknown.
        name: the missing name (NameError), or the exercise or helper asked for in vain.
    """

    kind: str
    message: str = ""
    line: str = ""
    name: str = ""


OURS = ("TimeLimit", "WorkerLost", "OutOfMemory", "OtherName", "NotCode")
"""Kinds of fault that no exception has: those who run and who read the code say so."""


def theirs(kind: str) -> str:
    """The kind of fault that an exception of this name is, also where it is called like ours."""
    return f"an error of its own called {kind}" if kind in OURS else kind


@dataclass(frozen=True)
class Opaque:
    """Stands for a returned object that is no data, e.g. a generator; `kind` is its class."""

    kind: str


@dataclass(frozen=True)
class Outcome:
    """What one call gave: a value, or a fault.

    Attributes:
        value: what the function returned.
        fault: why it returned nothing.
        traces: what it changed that was not its own, each a kind (`running.STATES` lists them)
            with a name, e.g. ("input", "x").
        printed: what it wrote to the screen.
        again: what the second call on the same arguments returned (`Case.repeat`).
        slopes: the gradient by each argument of `Case.slopes`, by name; a `Fault` where a call on
            arguments that ask for gradients fails; None where the result has none.
        foreign: whether the result held NumPy arrays, doubles, or tensors that hang on a graph.
    """

    value: object = None
    fault: Fault | None = None
    traces: tuple[tuple[str, str], ...] = ()
    printed: str = ""
    again: object = None
    slopes: object = None
    foreign: bool = False


RIGHT, WRONG, NOT_ATTEMPTED = "right", "wrong", "not attempted"
NOT_JUDGED = "not judged"
"""The check itself failed, which says nothing about the answer."""


@dataclass(frozen=True)
class Verdict:
    """What there is to say about an answer.

    Attributes:
        state: `RIGHT`, `WRONG`, `NOT_ATTEMPTED`, or `NOT_JUDGED` where the check failed.
        reason: for a wrong answer, one or two sentences; empty otherwise.
        mistake: the name of the known mistake it is, if any.
        points: what it is worth.
    """

    state: str
    reason: str = ""
    mistake: str | None = None
    points: float = 0.0


@dataclass
class _Registry:
    exercises: dict[str, Exercise] = field(default_factory=dict)
    loaded: bool = False


_registry = _Registry()


def register(*exercises: Exercise) -> None:
    """Adds exercises to the course.

    Raises:
        ValueError: a name that is taken, or that differs from the reference's own.
    """
    for exercise in exercises:
        if exercise.name in _registry.exercises:
            raise ValueError(f"exercise {exercise.name!r} exists already")
        if exercise.name != exercise.reference.__name__:
            raise ValueError(f"exercise {exercise.name!r}: reference {exercise.reference.__name__}")
        _registry.exercises[exercise.name] = exercise


def get(name: str) -> Exercise:
    """The exercise of that name. ValueError for an unknown one; near spellings are suggested."""
    known = _all()
    if name not in known:
        raise ValueError(unknown("exercise", name, known, "exercises"))
    return known[name]


def all_(lecture: str | None = None) -> list[Exercise]:
    """Every exercise in the syllabus' order, or those of one lecture such as "06_saliency"."""
    return [e for e in _all().values() if lecture in (None, e.lecture)]


def points(name: str) -> int:
    """What a right answer is worth. ValueError for an unknown exercise."""
    return get(name).points


def total(exercises: Iterable[Exercise]) -> int:
    """The points that can be had for these exercises."""
    return sum(e.points for e in exercises)


def _all() -> dict[str, Exercise]:
    if not _registry.loaded:
        _registry.loaded = True
        for module in MODULES:
            import_module(f"course_utils.exercises.{module}")
    return _registry.exercises
