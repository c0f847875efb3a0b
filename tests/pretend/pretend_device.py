"""A pretend accelerator for the tests: "pretend:0" computes on the CPU, by CUDA's rules.

What a GPU refuses is refused here, with nearly the same words: tensors of two devices in one
operation, NumPy on a device tensor, a CPU generator for device numbers, products of whole numbers.
What a GPU accepts is accepted: copies between devices, CPU indices and masks, CPU numbers without
dimensions in arithmetic. `tests/test_pretend_device.py` is the table of these rules.

It is PyTorch's backend for others, PrivateUse1, in Python: a wrapper subclass whose operations run
on the CPU tensor inside. PyTorch itself loads it, through the entry point beside this file, in
every process that has this folder on PYTHONPATH and COURSE_DEVICE=pretend; tests also import it.

It cannot show what belongs to CUDA's own kernels: their rounding and TF32, the order of equal
values, memory that runs out, streams. Its other gaps: `module.to` makes new parameters, where CUDA
keeps the old ones; `torch.randn(3, generator=one_of_pretend)` on the CPU is not refused;
safetensors and `torch.load(map_location=...)` cannot read straight onto it; gradients are computed
in the thread that asks for them, where CUDA has one of its own.
"""

import functools

import torch
from torch.utils import backend_registration

NAME = "pretend"
SEED = 0x5EED  # the same seed gives other numbers than on the CPU, as on a GPU


_make = torch.Tensor._make_wrapper_subclass


class Pretend(torch.Tensor):
    """A tensor on the pretend accelerator; `_raw` is the CPU tensor that holds its numbers."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, raw: torch.Tensor, requires_grad: bool = False) -> "Pretend":
        return on_device(raw, requires_grad)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})

    # What PyTorch reads from a tensor's memory, without asking an operation.

    def numpy(self, *, force: bool = False):
        if force:
            return self.detach().cpu().resolve_conj().resolve_neg().numpy()
        raise TypeError(
            f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy "
            "the tensor to host memory first."
        )

    def __array__(self, *args, **kwargs):
        return self.numpy()

    def tolist(self):
        return self._raw.detach().tolist()

    def data_ptr(self):
        return self._raw.data_ptr()

    def untyped_storage(self):
        return self._raw.untyped_storage()

    def __repr__(self, *, tensor_contents=None):
        grad = f", grad_fn=<{type(self.grad_fn).__name__}>" if self.grad_fn is not None else ""
        leaf = ", requires_grad=True" if self.requires_grad and not grad else ""
        return f"{repr(self._raw.detach())[:-1]}, device='{self.device}'{grad or leaf})"

    def __format__(self, spec):
        return format(self.item(), spec) if self.dim() == 0 else object.__format__(self, spec)

    # The same memory with a version counter of its own, as of every tensor.

    @property
    def data(self):
        return Pretend(self._raw)

    @data.setter
    def data(self, new):
        if not isinstance(new, Pretend):
            raise RuntimeError(
                f"Attempted to call `variable.set_data(tensor)`, but `variable` and `tensor` have "
                f"incompatible tensor type: {self.device} and {new.device}"
            )
        adopt(self, new._raw)

    def __deepcopy__(self, memo):
        if not self.is_leaf:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
                "protocol at the moment."
            )
        if id(self) not in memo:
            made = memo[id(self)] = Pretend(self._raw.clone(), self.requires_grad)
            if getattr(self, "_is_param", False):
                made._is_param = True
            if self.grad is not None:
                made.grad = self.grad.__deepcopy__(memo)
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        given = (self.detach().cpu(), self.dtype, str(self.device), self.requires_grad)
        rebuilt = (torch._utils._rebuild_device_tensor_from_cpu_tensor, given)
        if getattr(self, "_is_param", False):
            held = Pretend(self._raw)
            return torch._utils._rebuild_parameter, (held, self.requires_grad, {})
        return rebuilt


def on_device(raw: torch.Tensor, requires_grad: bool = False) -> Pretend:
    """A tensor of the device with the numbers of a CPU tensor, which it holds."""
    if raw.is_conj() or raw.is_neg():  # bits that operations would not look at in here
        raw = raw.resolve_conj().resolve_neg()
    laid_out = raw.size(), raw.stride(), raw.storage_offset(), None
    made = _make(Pretend, *laid_out, raw.dtype, raw.layout, DEVICE, False, requires_grad)
    made._raw = raw
    return made


def adopt(tensor: Pretend, raw: torch.Tensor) -> None:
    """Let `tensor` be what `raw` is now: after `.data = `, `resize_`, `out=` of another shape."""
    with torch._C._DisableTorchDispatch():
        torch.Tensor.data.__set__(tensor, Pretend(raw))
    tensor._raw = raw


# ------------------------------------------------------------------ what CUDA accepts and refuses

# CPU tensors are welcome: copies between devices.
_COPIES = {"copy_", "_to_copy", "_copy_from", "_has_compatible_shallow_copy_type", "fill_"}
_INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
_INDEXING |= {"_unsafe_index_put"}
# CPU numbers (tensors without dimensions) are welcome: all that PyTorch calls pointwise, and these.
_NUMBERS = {"where", "masked_fill", "masked_fill_", "result_type", "is_same_size", "equal"}
# No kernel for whole numbers (bool, uint8, ..., int64) on CUDA, though there is one on the CPU.
_FLOATING = {"mm", "addmm", "addmm_", "bmm", "baddbmm", "baddbmm_", "mv", "addmv", "dot", "vdot"}
_FLOATING |= {"convolution", "avg_pool2d", "max_pool2d_with_indices", "upsample_bicubic2d"}
_FLOATING |= {"upsample_bilinear2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"}
# No kernel for CUDA at all.
_MISSING = {"histogram", "_histogramdd_bin_edges", "_histogramdd_from_bin_cts"}


class Rule:
    """What has to be known of an operation, read from its schema once."""

    def __init__(self, func) -> None:
        arguments = func._schema.arguments
        self.name = func._schema.name.removeprefix("aten::")
        self.copies, self.indexes = self.name in _COPIES, self.name in _INDEXING
        self.numbers = torch.Tag.pointwise in func.tags or self.name in _NUMBERS
        self.floating, self.missing = self.name in _FLOATING, self.name in _MISSING
        self.random = torch.Tag.nondeterministic_seeded in func.tags
        kinds = [str(a.type) for a in arguments]
        self.tensors = [i for i, kind in enumerate(kinds) if kind in ("Tensor", "Optional[Tensor]")]
        self.lists = [i for i, kind in enumerate(kinds) if kind == "List[Tensor]"]
        writes = [a for a in arguments if a.alias_info is not None and a.alias_info.is_write]
        self.writes = [(arguments.index(a), a.name) for a in writes]
        self.device = any(a.name == "device" for a in arguments)
        self.generator = [i for i, a in enumerate(arguments) if a.name == "generator"]
        self.call = func._op
        found = {i for i, kind in enumerate(kinds) if "Tensor" in kind}
        by_name = any(arguments[i].kwarg_only for i in found)
        odd = by_name or found != {*self.tensors, *self.lists}
        special = self.indexes or self.missing or self.random or self.device or odd
        self.plain = not (special or self.writes)
        # CPU numbers pass, but for the few operations with a rule of their own.
        self.easy = torch.Tag.pointwise in func.tags and self.name not in _NUMBERS
        self.in_place = self.easy and not special and [i for i, _ in self.writes] == [0]


rule_of = functools.cache(Rule)


def mixed(func, one, other) -> RuntimeError:
    """The error that everybody meets once."""
    return RuntimeError(
        "Expected all tensors to be on the same device, but found at least two devices, "
        f"{one.device} and {other.device}! (in {func})"
    )


def copied(source, target, non_blocking=False):
    """Numbers from one device to the other."""
    bare(target).copy_(bare(source))
    return target


def tensors_in(given):
    """The tensors among arguments, also in lists."""
    for x in given:
        if isinstance(x, torch.Tensor):
            yield x
        elif isinstance(x, list | tuple):
            yield from (y for y in x if isinstance(y, torch.Tensor))


def refuse(func, rule: Rule, args: tuple, kwargs: dict) -> None:
    """Raise what CUDA raises for these arguments, if it does."""
    if rule.missing:
        raise NotImplementedError(f"Could not run '{func}' with arguments from the 'CUDA' backend.")
    given = list(tensors_in((*args, *kwargs.values())))
    if rule.floating and is_whole(given[0]):
        kind = str(given[0].dtype).removeprefix("torch.").capitalize()
        raise NotImplementedError(f"\"{rule.name}_cuda\" not implemented for '{kind}'")
    if rule.indexes:
        return refuse_index(func, rule, args)
    cpu = [x for x in given if not isinstance(x, Pretend)]
    ours = next((x for x in given if isinstance(x, Pretend)), None)
    if ours is None or not cpu or rule.copies:
        return
    written = [args[i] if i < len(args) else kwargs.get(name) for i, name in rule.writes]
    for x in cpu:
        if x.dim() > 0 or not rule.numbers or any(x is y for y in written):
            raise mixed(func, ours, x)
    if rule.name == "equal":
        raise RuntimeError(
            "Cannot compare two tensors on different devices. Got: pretend:0 and cpu"
        )
    if rule.name.startswith("masked_fill") and not isinstance(args[1], Pretend):
        raise RuntimeError("expected self and mask to be on the same device, but got mask on cpu")


def refuse_index(func, rule: Rule, args: tuple) -> None:
    """Indices may lie on the CPU; the indexed and what is written into it share a device."""
    if not isinstance(args[0], Pretend) and any(
        isinstance(x, Pretend) for x in tensors_in(args[1:2])
    ):
        raise RuntimeError(
            "indices should be either on cpu or on the same device as the indexed tensor (cpu)"
        )
    if "put" in rule.name:
        ours, theirs = (isinstance(args[i], Pretend) for i in (0, 2))
        if ours != theirs and (theirs or args[2].dim() > 0):
            raise mixed(func, args[0], args[2])


# ------------------------------------------------------------------ running an operation


def bare(x):
    """The CPU tensors inside arguments."""
    if isinstance(x, Pretend):
        return x._raw
    if isinstance(x, list | tuple) and any(isinstance(y, Pretend) for y in x):
        return type(x)(bare(y) for y in x)
    return x


def is_whole(tensor: torch.Tensor) -> bool:
    """Whether it holds whole numbers or truth values."""
    return not (tensor.is_floating_point() or tensor.is_complex())


def bare_of_one_device(rule: Rule, args: tuple) -> list | None:
    """The arguments with the CPU tensors inside; None unless all tensors are on the device.

    A short cut: nearly all operations need no more, and they are many.
    """
    found = list(args)
    for i in rule.tensors:
        if i >= len(found):
            break
        if type(found[i]) is Pretend:
            found[i] = found[i]._raw
        elif isinstance(found[i], torch.Tensor) and not (rule.easy and found[i].dim() == 0):
            return None
    for i in rule.lists:
        if not all([type(x) is Pretend for x in found[i]]):
            return None
        found[i] = [x._raw for x in found[i]]
    return found


def run(func, args: tuple, kwargs: dict):
    """One operation: refused as on CUDA, or run on the CPU and its results put on the device."""
    rule = rule_of(func)
    quick = rule.plain and not (rule.floating and is_whole(args[0]))
    quick = quick or rule.in_place and type(args[0]) is Pretend
    if quick and (raw_args := bare_of_one_device(rule, args)) is not None:
        out = rule.call(*raw_args, **kwargs)
        if rule.writes:
            return args[0]
        return on_device(out) if type(out) is torch.Tensor else wrapped(out)
    refuse(func, rule, args, kwargs)
    elsewhere = False
    raw_kwargs = {key: bare(value) for key, value in kwargs.items()} if kwargs else {}
    if rule.device and raw_kwargs.get("device") is not None:
        elsewhere = torch.device(raw_kwargs["device"]).type != NAME
        only_one(raw_kwargs["device"])
        raw_kwargs["device"] = raw_kwargs["device"] if elsewhere else torch.device("cpu")
        raw_kwargs.pop("pin_memory", None)
    raw_args = tuple([bare(x) for x in args])
    with_numbers = randomly if rule.random else plainly
    out = with_numbers(func, rule, raw_args, raw_kwargs)
    if rule.writes:
        return written_back(rule, args, kwargs, out)
    if elsewhere:  # a copy, also where the numbers already lie on the CPU
        return out.clone() if rule.name == "_to_copy" and out.device.type == "cpu" else out
    return wrapped(out)


def only_one(device) -> None:
    """There is no second pretend device."""
    if torch.device(device).type == NAME and (torch.device(device).index or 0) > 0:
        raise RuntimeError(f"pretend error: invalid device ordinal: {device}")


def plainly(func, rule, args, kwargs):
    return func(*args, **kwargs)


def wrapped(out):
    """Results, put on the device."""
    if isinstance(out, torch.Tensor):
        return out if isinstance(out, Pretend) else Pretend(out)
    if isinstance(out, list | tuple):
        return type(out)([wrapped(x) for x in out])
    return out


def written_back(rule: Rule, args: tuple, kwargs: dict, out):
    """In-place operations and `out=` give back what was given, in the shape that it has now."""
    given = [args[i] if i < len(args) else kwargs.get(name) for i, name in rule.writes]
    owners = {}
    for x in tensors_in(given):
        owners[id(bare(x))] = x
        if isinstance(x, Pretend):
            raw = x._raw
            if (x.shape, x.stride(), x.dtype) != (raw.shape, raw.stride(), raw.dtype):
                adopt(x, raw)
    if isinstance(out, torch.Tensor):
        return owners.get(id(out)) if id(out) in owners else wrapped(out)
    if isinstance(out, list | tuple):
        return type(out)([owners.get(id(x), wrapped(x)) for x in out])
    return out


# ------------------------------------------------------------------ random numbers

_OWN: set[int] = set()  # addresses of the device's generators


class _Kind(type(torch.Generator)):
    def __instancecheck__(cls, one):
        return isinstance(one, _CpuGenerator)


_CpuGenerator = torch._C.Generator


class Generator(_CpuGenerator, metaclass=_Kind):
    """`torch.Generator`, which takes the pretend device too."""

    def __new__(cls, device="cpu"):
        wanted = torch.device(device)
        if wanted.type != NAME:
            return _CpuGenerator(device)
        made = super().__new__(cls, "cpu")
        _OWN.add(made._cdata)
        made.manual_seed(made.seed())
        return made

    def __init__(self, device="cpu") -> None:
        pass

    def __del__(self, forget=_OWN.discard) -> None:  # the names of modules go first at the end
        forget(self._cdata)

    @property
    def device(self):
        return DEVICE

    def manual_seed(self, seed: int):
        super().manual_seed(seed ^ SEED)
        return self

    def initial_seed(self) -> int:
        return super().initial_seed() ^ SEED


def randomly(func, rule: Rule, args: tuple, kwargs: dict):
    """With the device's random numbers: the CPU's are neither used up nor accepted."""
    given = kwargs.get("generator")
    for i in rule.generator:
        given = args[i] if i < len(args) else given
    if given is not None:
        if given._cdata not in _OWN:
            raise RuntimeError("Expected a 'pretend' device type for generator but found 'cpu'")
        return func(*args, **kwargs)
    state = torch.random.get_rng_state()
    torch.random.set_rng_state(MODULE.generator.get_state())
    try:
        return func(*args, **kwargs)
    finally:
        MODULE.generator.set_state(torch.random.get_rng_state())
        torch.random.set_rng_state(state)


# ------------------------------------------------------------------ registering it


class _Module:
    """What PyTorch asks of `torch.pretend`, as it has `torch.cuda`."""

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None:
        self.generator.manual_seed(seed)

    def get_rng_state(self, device: object = 0) -> torch.Tensor:
        return self.generator.get_state()

    def set_rng_state(self, state: torch.Tensor, device: object = 0) -> None:
        self.generator.set_state(state)

    def synchronize(self, device: object = None) -> None:
        pass

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]


MODULE = _Module()
backend_registration._setup_privateuseone_for_python_backend(NAME, MODULE)
torch._C._set_multithreading_enabled(False)  # each operation would change the thread, and back
DEVICE = torch.device(NAME, 0)
torch.Generator = Generator
MODULE.generator = Generator(DEVICE)
# Where no argument is a tensor, and in `torch.tensor`, which switches subclasses off.
_EVERY, _TWO = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
_EVERY.fallback(lambda func, *args, **kwargs: run(func, args, kwargs), "PrivateUse1")
_TWO.impl("_local_scalar_dense", lambda tensor: tensor._raw.item(), "PrivateUse1")
_TWO.impl("_copy_from", copied, "PrivateUse1")
