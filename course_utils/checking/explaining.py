"""What a tutor says about an answer that ends in an exception."""

import ast
import re
from collections.abc import Callable

from torch import Tensor

from course_utils.checking.core import Exercise, Fault
from course_utils.checking.sources import Pieces
from course_utils.checking.wording import listed

UNWRITTEN = re.compile(r"\braise\s+NotImplementedError\b")
"""The line of a stub. PyTorch raises errors of that name too."""


def unwritten(fault: Fault | None) -> bool:
    """Whether a call ended at the `raise NotImplementedError()` of a stub."""
    if fault is None or fault.kind != "NotImplementedError":
        return False
    return bool(UNWRITTEN.search(fault.line)) if fault.line else not fault.message


def fault_words(exercise: Exercise, fault: Fault, pieces: Pieces | None) -> str:
    """What to say about a call that gave no result."""
    special = SPECIAL.get(fault.kind)
    said = special(exercise, fault, pieces) if special else ""
    return said or _in_torch(exercise, fault, pieces) or raw(fault)


def raw(fault: Fault) -> str:
    """The exception's own words."""
    line = f" in your line {quoted(fault.line)}" if fault.line else ""
    message = fault.message.splitlines()[0][:200] if fault.message else ""
    if not message:
        return f"It stops with {fault.kind}{line}."
    return f"It stops with {fault.kind}{line}: {quoted(message) if '*' in message else message}"


def quoted(text: str) -> str:
    """A text as code, whatever stands in it."""
    return "`" + text.replace("`", "'") + "`"


def _line(fault: Fault) -> str:
    return f" (line {quoted(fault.line)})" if fault.line else ""


# ------------------------------------------------------------------ exceptions of Python


def _missing_name(exercise: Exercise, fault: Fault, pieces: Pieces | None) -> str:
    known = pieces.notebook_names if pieces else frozenset()
    if fault.name in known:
        among = ", ".join(f"`{a}`" for a in exercise.arguments)
        return (
            f"It uses the notebook's variable `{fault.name}`{_line(fault)}, which exists here but "
            f"not where your answer is graded. Everything it needs comes as an argument: {among}."
        )
    return f"The name `{fault.name}` is not defined{_line(fault)}."


def _unbound(exercise: Exercise, fault: Fault, pieces: Pieces | None) -> str:
    found = re.search(r"variable '(\w+)'", fault.message)
    return f"`{found[1]}` is used before it has a value{_line(fault)}." if found else ""


def _too_slow(exercise: Exercise, fault: Fault, pieces: Pieces | None) -> str:
    return (
        f"It had not returned after {fault.message} seconds and was stopped; the course's own "
        "needs a fraction of one. Is there a loop that never ends?"
    )


def _closed(exercise: Exercise, fault: Fault, pieces: Pieces | None) -> str:
    return (
        f"It calls the course's own `{fault.name}`. That is closed in exercises: write it "
        "yourself, with torch."
    )


def _unfinished(exercise: Exercise, fault: Fault, pieces: Pieces | None) -> str:
    if not unwritten(fault):
        return ""
    if fault.name and fault.name not in (exercise.name, "<module>"):
        return f"It calls `{fault.name}`, which is not written yet. Solve that one first."
    return (
        "The line `raise NotImplementedError()` is still reached. Delete it once your code stands."
    )


def _syntax(exercise: Exercise, fault: Fault, pieces: Pieces | None) -> str:
    line = f" in the line {quoted(fault.line)}" if fault.line else ""
    return f"The cell is not valid Python{line}: {fault.message}."


def _exit(exercise: Exercise, fault: Fault, pieces: Pieces | None) -> str:
    return "It ends the whole program (`exit`) instead of returning a result."


def _recursion(exercise: Exercise, fault: Fault, pieces: Pieces | None) -> str:
    return (
        "It calls itself more often than Python allows, which is about 1000 calls inside each "
        "other: without end, or once for each of many things. A loop has no such limit."
    )


def _type(exercise: Exercise, fault: Fault, pieces: Pieces | None) -> str:
    own = fault.message.startswith((f"{exercise.name}()", "<lambda>()", "test_"))
    missing = re.findall(r"'(\w+)'", fault.message.partition("missing ")[2])
    if own and not fault.line and missing and {*missing} <= {*exercise.arguments}:
        names = listed([f"`{name}`" for name in missing])
        return (
            f"TypeError: your line with `def` gives {names} no value to fall back on, and a call "
            "may leave that out. Leave the line as it was."
        )
    if own and not fault.line and "argument" in fault.message:
        names = ", ".join(f"`{a}`" for a in exercise.arguments)
        return (
            f"TypeError: your function does not take the arguments {names}, in this order. Leave "
            "the line with `def` as it was."
        )
    return ""


def _other_name(exercise: Exercise, fault: Fault, pieces: Pieces | None) -> str:
    return (
        f"Your function is called `{fault.name}`; graded is the function that is called "
        f"`{exercise.name}`. Rename it, if that is your answer."
    )


def _not_code(exercise: Exercise, fault: Fault, pieces: Pieces | None) -> str:
    return (
        f"Your answer stands in a {fault.name} cell, which does not run. Click into it and choose "
        "Code in the toolbar, then run it."
    )


def _no_module(exercise: Exercise, fault: Fault, pieces: Pieces | None) -> str:
    return (
        f"It needs the module `{fault.name}`, which does not exist where your answer is graded: "
        "only the notebook is handed in. If it is a file of yours, copy what you use into a cell."
    )


SPECIAL: dict[str, Callable[[Exercise, Fault, Pieces | None], str]] = {
    "OtherName": _other_name,
    "NotCode": _not_code,
    "ModuleNotFoundError": _no_module,
    "NameError": _missing_name,
    "UnboundLocalError": _unbound,
    "TimeLimit": _too_slow,
    "ClosedHelper": _closed,
    "NotImplementedError": _unfinished,
    "SyntaxError": _syntax,
    "SystemExit": _exit,
    "RecursionError": _recursion,
    "TypeError": _type,
}


# ------------------------------------------------------------------ exceptions of PyTorch

KINDS = {"Bool": "True and False", "Half": "half-precision numbers"}
"""What PyTorch's names of types mean; whatever is not here is a whole number."""


def _in_torch(exercise: Exercise, fault: Fault, pieces: Pieces | None) -> str:
    source = pieces.source if pieces else ""
    for pattern, words in TORCH:
        found = re.search(pattern, fault.message)
        said = words if isinstance(words, str) or not found else words(found, fault, source)
        if found and said:
            said = said.replace("{line}", _line(fault)).replace("{first}", exercise.arguments[0])
            return said + _all_columns(fault)
    return ""


def _all_columns(fault: Fault) -> str:
    """A word on `[:, classes]` and on `.T`, where shapes that do not fit may come from them."""
    if fault.kind not in ("RuntimeError", "IndexError"):
        return ""
    if found := re.search(r"\[:, ?(classes|targets?|labels)\]", fault.line):
        return f" `[:, {found[1]}]` takes all of them for every row, not each row's own."
    if re.search(r"\.T\b", fault.line):
        return " (Of more than two axes `.T` turns round *all*; `.mT` exchanges the last two.)"
    return ""


def _number_type(found: re.Match, fault: Fault, source: str) -> str:
    got = KINDS.get(found[1], "whole numbers")
    return (
        f"That operation needs decimals, and here it gets {got}{{line}}. Turn them into decimals "
        "first: `.float()`."
    )


def _mean(found: re.Match, fault: Fault, source: str) -> str:
    got = KINDS.get(found[1], "whole numbers")
    return (
        f"`mean` needs decimals, and here it gets {got}{{line}}. Turn them into decimals first: "
        "`.float()`."
    )


def _binds_tighter(line: str) -> bool:
    """Whether in a line `&` or `|` stands beside a comparison without brackets."""
    text = re.sub(r"^return\b|:$", "", line.strip()).strip()
    text = re.sub(r"^(if|while|elif)\b", "", text).strip()
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    sides = [
        side
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        for side in (node.left, *node.comparators)
    ]
    return any(isinstance(s, ast.BinOp) and isinstance(s.op, ast.BitAnd | ast.BitOr) for s in sides)


def _bitwise(found: re.Match, fault: Fault, source: str) -> str:
    sign = "&" if found[1] == "and" else "|"
    if _binds_tighter(fault.line):
        return (
            f"`{sign}` binds tighter than a comparison such as `>`{{line}}. Put brackets around "
            f"each comparison: `(a > 0) {sign} (b > 0)`."
        )
    return (
        f"`{sign}` combines True and False, and here it gets decimals{{line}}. Compare first, each "
        "comparison in brackets."
    )


def _broadcast(found: re.Match, fault: Fault, source: str) -> str:
    return (
        f"Two arrays do not fit together{{line}}: laid against each other from their last axes, "
        f"one has the length {found[1]} where the other has {found[2]}. Lengths must be equal, or "
        "one of them 1."
    )


def _matmul(found: re.Match, fault: Fault, source: str) -> str:
    a, b, c, d = found.groups()
    fits = " One of them would have to be transposed." if b == d or a == c else ""
    return (
        f"Two matrices cannot be multiplied{{line}}: {a} x {b} and {c} x {d}. The columns of the "
        f"first must be as many as the rows of the second.{fits}"
    )


def _index(found: re.Match, fault: Fault, source: str) -> str:
    index, axis, length = found.groups()
    entries = "1 entry, number 0" if length == "1" else f"{length} entries, counted from 0"
    return f"There is no index {index} here{{line}}: axis {axis} has {entries}."


def _axis(found: re.Match, fault: Fault, source: str) -> str:
    return (
        f"There is no axis {found[2]} here{{line}}: the array has {int(found[1]) + 1}, counted "
        "from 0."
    )


def _nothing_recorded(found: re.Match, fault: Fault, source: str) -> str:
    said = (
        "PyTorch has recorded nothing to differentiate{line}: the input must ask for gradients "
        "before the forward pass"
    )
    return said + (", and not inside `no_grad`." if "no_grad" in source else ".")


def _empty_gradient(found: re.Match, fault: Fault, source: str) -> str:
    if ".grad" not in fault.line:
        return ""
    return (
        "`.grad` is still empty (`None`){line}: no backward pass has come to this tensor. Is it "
        "the one that asked for gradients, and the one that the network saw?"
    )


def _pair(found: re.Match, fault: Fault, source: str) -> str:
    return (
        f"`{found[1]}` gives two things here, values and indices{{line}}. `.values` and `.indices` "
        "tell them apart."
    )


def _tuple_of_grad(found: re.Match, fault: Fault, source: str) -> str:
    if not re.search(r"\bgrad\(", source):
        return ""
    return (
        "A tuple is used like a tensor{line}. `torch.autograd.grad` gives one, with a gradient for "
        "each input: take the first, `[0]`."
    )


def _whole(found: re.Match, fault: Fault, source: str) -> str:
    if "/" not in source.replace("//", ""):
        return ""
    return (
        "A place or a length has to be a whole number{line}, and `/` gives decimals even if it "
        "comes out even; `//` gives whole numbers."
    )


def _into_place(found: re.Match, fault: Fault, source: str) -> str:
    there, came, axis = found.groups()
    return (
        f"A tensor with the length {came} along axis {axis} (counted from 0) is put where {there} "
        "belong{line}. Only a length of 1 is stretched."
    )


def _several_axes(found: re.Match, fault: Fault, source: str) -> str:
    if not re.search(r"\b(max|min)\((dim=|axis=|\w+, *)?[(\[]", fault.line):
        return ""
    return f"`{found[1]}` goes along one axis; along several at once `a{found[1]}` does{{line}}."


def _larger(found: re.Match, fault: Fault, source: str) -> str:
    called = re.search(r"(?<![.\w])(max|min)\(", fault.line)
    if not called:
        return ""
    return (
        f"Python's own `{called[1]}` compares as a whole, and here it gets a tensor with many "
        "values{line}. `clamp`, `torch.maximum` and `torch.minimum` compare value by value."
    )


def _one_number(found: re.Match, fault: Fault, source: str) -> str:
    return "One number is needed{line}, and the tensor holds several."


TORCH: tuple[tuple[str, str | Callable[[re.Match, Fault, str], str]], ...] = (
    (r"^mean\(\): could not infer.* Got: (\w+)", _mean),
    (
        r"^std and var only support",
        "`std` and `var` need decimals{line}. Turn the numbers into decimals first: `.float()`.",
    ),
    (r"Expected a floating point or complex tensor as input\. Got (\w+)", _number_type),
    (r'^"bitwise_(and|or)_\w+" not implemented for \'(?:Float|Double|Half)\'', _bitwise),
    (
        r'^"bitwise_xor_\w+" not implemented for',
        "`^` is no power in Python but the exclusive or{line}; a power is written `**`.",
    ),
    (
        r"the `-` operator,.* bool tensor",
        "`-` does not work with True and False{line}. Turn them into numbers first, `.float()`; "
        "the opposite of a condition is `~`.",
    ),
    (r"^\"\w+\" not implemented for '(Bool|Long|Int|Short|Char|Byte|Half)'", _number_type),
    (
        r"quantile\(\) input tensor must be either float or double",
        "`quantile` needs decimals{line}. Turn the numbers into decimals first: `.float()`.",
    ),
    (r"size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\)", _broadcast),
    (r"shapes cannot be multiplied \((\d+)x(\d+) and (\d+)x(\d+)\)", _matmul),
    (
        r"Expected size for first two dimensions of batch2 tensor",
        "Two stacks of matrices cannot be multiplied{line}: the columns of the first must be as "
        "many as the rows of the second, for each pair of them.",
    ),
    (
        r"shape mismatch: indexing tensors could not be broadcast",
        "The indices in the square brackets are taken in pairs, and there are not as many of one "
        "as of the other{line}.",
    ),
    (r"index (-?\d+) is out of bounds for dimension (\d+) with size (\d+)", _index),
    (
        r"too many indices for tensor of dimension (\d+)",
        lambda found, fault, source: (
            f"More indices are given than there are axes{{line}}: the tensor has {found[1]}."
        ),
    ),
    (
        r"Dimension out of range \(expected to be in range of \[-\d+, (\d+)\], but got (-?\d+)\)",
        _axis,
    ),
    (
        r"a (?:view of a )?leaf Variable that requires grad is being used in an in-place",
        "A tensor that asks for gradients cannot be changed in place{line}. Compute a new one "
        "from it, or change it inside `torch.no_grad()`.",
    ),
    (
        r"Can't call numpy\(\) on Tensor that requires grad",
        "NumPy cannot take a tensor whose gradient is being recorded{line}. Stay with torch, or "
        "`.detach()` it first.",
    ),
    (
        r"Trying to backward through the graph a second time",
        "A graph can be differentiated once: the first time uses it up{line}. Differentiate one "
        "sum, or compute the forward pass anew.",
    ),
    (
        r"needed for gradient computation has been modified by an inplace operation",
        "A value that the gradient needs was changed in place after the forward pass (`+=`, "
        "`[...] =` or a method that ends in `_`){line}. Compute a new tensor instead.",
    ),
    (
        r"appears to not have been used in the graph",
        "What you differentiate does not depend on the tensor that you differentiate by{line}. "
        "Was it computed from another one, say from a copy?",
    ),
    (r"does not require grad and does not have a grad_fn", _nothing_recorded),
    (
        r"can be implicitly created only for scalar",
        "PyTorch differentiates a single number, and here it got several{line}. Make one number "
        "of the scores of the batch.",
    ),
    (
        r"only Tensors of floating point dtype can require gradients",
        "Only decimals can have a gradient, and this tensor holds whole numbers{line}.",
    ),
    (r"^'NoneType' object|unsupported operand .*'NoneType'", _empty_gradient),
    (
        r"'tuple' object has no attribute|multiply sequence by non-int|unsupported operand .*"
        r"'tuple'",
        _tuple_of_grad,
    ),
    (
        r"slice indices must be integers|'float' object cannot be interpreted as an integer|failed "
        r"to unpack .* float|^(?:zeros|ones|empty|rand|randn)\(\) takes 1 positional argument",
        _whole,
    ),
    (
        r"expanded size of the tensor \((\d+)\) must match the existing size \((\d+)\) at "
        r"non-singleton dimension (\d+)",
        _into_place,
    ),
    (r"^(max|min)\(\) received an invalid combination", _several_axes),
    (
        r"too many dimensions 'str'",
        "A tensor holds numbers, and here it would get texts{line}. A list holds texts.",
    ),
    (
        r"^(\w+)\(\): argument '\w+' \(position \d+\) must be Tensor, not (int|float)",
        lambda found, fault, source: (
            f"`torch.{found[1]}` takes a tensor, and here it gets a plain number{{line}}; for "
            "those there is `math`, and `** 0.5` for a root."
        ),
    ),
    (r"'torch\.return_types\.(\w+)' object has no attribute", _pair),
    (r"Boolean value of Tensor with more than one value is ambiguous", _larger),
    (
        r"Boolean value of Tensor with more than one value is ambiguous",
        "`if`, `and`, `or`, `not` and a chain such as `a < b < c` ask for one True or False, and "
        "here are many{line}. Combine arrays with `&`, `|` and `~`, each comparison in brackets.",
    ),
    (r"cannot be converted to Scalar|only one element tensors can be converted", _one_number),
    (
        r"view size is not compatible",
        "`view` cannot do this to a tensor whose axes were moved{line}; `reshape` can.",
    ),
    (
        r"shape '(\[[-\d, ]*\])' is invalid for input of size (\d+)",
        lambda found, fault, source: (
            f"{found[2]} numbers do not fill the shape {found[1]}{{line}}."
        ),
    ),
    (
        r"stack expects each tensor to be equal size, but got (\[[\d, ]*\]) .*and (\[[\d, ]*\])",
        lambda found, fault, source: (
            f"Only tensors of one shape can be stacked{{line}}; these have {found[1]} and "
            f"{found[2]}."
        ),
    ),
    (
        r"expected scalar type (\w+) but found (\w+)|same dtype, but got: (\w+) != (\w+)|same "
        r"dtype, but found (\w+) and (\w+)",
        lambda found, fault, source: (
            "Two kinds of numbers meet"
            f"{{line}}: {' and '.join(w.lower() for w in found.groups() if w)}. Turn one into the "
            "kind of the other, e.g. with `.float()`."
        ),
    ),
    (
        r"only integer tensors of a single element can be converted to an index",
        lambda found, fault, source: (
            "A Python list gives one entry at a time, for one whole number, and here it is asked "
            "with a tensor{line}."
            if re.search(r"\w\[", fault.line) and "range" not in fault.line
            else ""
        ),
    ),
    (r"tensors used as indices must be long", "Indices must be whole numbers{line}: `.long()`."),
    (
        r"Index tensor must have the same number of dimensions as input",
        "`gather` needs indices with as many axes as the tensor they choose from{line}.",
    ),
    (
        r"'list' object has no attribute '(\w+)'",
        lambda found, fault, source: (
            f"A list of tensors has no `.{found[1]}`{{line}}. Make one tensor of it first: "
            "`torch.stack`."
            if hasattr(Tensor, found[1])
            else ""
        ),
    ),
    (
        r"NVIDIA driver|not compiled with CUDA|No CUDA GPUs",
        "It asks for a graphics card{line}, and there is none where the check runs. Whatever you "
        "make belongs on the device of the input: `{first}.device`.",
    ),
    (
        r"Expected all tensors to be on the same device",
        "Two tensors lie on different devices{line}. Whatever you make belongs on the device of "
        "the input: `{first}.device`.",
    ),
)
