"""Values as bytes between the judge and a worker it must not trust: JSON headers and raw arrays.

One message is a frame: 4 bytes magic, the header's length (4 bytes) and the body's (8 bytes, both
little-endian), the header (JSON, UTF-8), the body (the arrays' bytes, one after the other). Nothing
is ever unpickled, no length is believed before it is compared with a cap, and whatever breaks a
rule is a `WireError`.
"""

import json
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from course_utils.checking.core import NetworkSpec, Opaque

MAGIC = b"CWR1"
PREFIX = struct.Struct("<4sIQ")
DTYPES = {
    name: getattr(torch, name)
    for name in ("bool", "uint8", "int8", "int16", "int32", "int64")
    + ("float16", "bfloat16", "float32", "float64", "complex64", "complex128")
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


class WireError(ValueError):
    """Bytes that are not a message, or a value that may not travel."""


@dataclass(frozen=True)
class Caps:
    """How large a message may be: bytes of header and body, and what the header may hold."""

    header: int = 1 << 20
    body: int = 64 << 20
    depth: int = 8
    nodes: int = 20_000
    text: int = 200_000
    dims: int = 8


CAPS = Caps()


# ------------------------------------------------------------------ values


def pack(value: object, caps: Caps = CAPS) -> tuple[object, bytes]:
    """A value as a tree that JSON can hold, and its arrays' bytes.

    Args:
        value: None, bool, int, float, str, NumPy array or scalar, tensor, `NetworkSpec`, `Opaque`,
            or lists, tuples and dicts of these (keys: str or int).
        caps: refuses here what the other side would refuse.

    Raises:
        WireError: a value of another type, or beyond the caps; says which.
    """
    packer = _Packer(caps)
    return packer.node(value, 0), bytes(packer.body)


class _Packer:
    """Walks through a value, counting its parts and collecting its arrays' bytes."""

    def __init__(self, caps: Caps) -> None:
        self.caps, self.body, self.left = caps, bytearray(), caps.nodes

    def node(self, item: object, depth: int) -> object:
        self.left -= 1
        if depth > self.caps.depth or self.left < 0:
            raise WireError(
                f"a value of more than {self.caps.nodes:,} parts, or nested more than "
                f"{self.caps.depth} deep"
            )
        if isinstance(item, torch.Tensor | np.ndarray | np.generic):
            return _array(item, self.body, self.caps)
        if item is None or isinstance(item, bool | int | str):
            return _plain(item, self.caps)
        if isinstance(item, float):
            return {"float": repr(float(item))}  # JSON has no infinity and no NaN
        if isinstance(item, NetworkSpec):
            return {"network": [item.name, item.seed, item.classes]}
        if isinstance(item, Opaque):
            return {"opaque": item.kind[:100]}
        return self.container(item, depth + 1)

    def container(self, item: object, depth: int) -> object:
        if isinstance(item, list | tuple):
            kind = "list" if isinstance(item, list) else "tuple"
            return {kind: [self.node(part, depth) for part in item]}
        if isinstance(item, dict):
            return {"dict": [[_key(k), self.node(v, depth)] for k, v in item.items()]}
        raise WireError(f"a {type(item).__name__}; accepted: arrays, numbers, text, lists, dicts")


def _plain(item: object, caps: Caps) -> object:
    if isinstance(item, str) and len(item) > caps.text:
        raise WireError(f"a text of {len(item):,} characters; accepted: {caps.text:,}")
    if isinstance(item, int) and abs(item) >= 1 << 63:
        raise WireError("an integer of more than 64 bits")
    # Subclasses (of str, of int) travel as what they are underneath.
    return next((t(item) for t in (bool, int, str) if isinstance(item, t)), None)


def _key(key: object) -> object:
    if type(key) not in (str, int):
        raise WireError(f"a dict key of type {type(key).__name__}; accepted: str, int")
    return key


def _array(item: object, body: bytearray, caps: Caps) -> dict:
    """One array: where its bytes are, its dtype and shape, and whether it is a tensor."""
    tensor = isinstance(item, torch.Tensor)
    flat = item.detach().cpu() if tensor else _from_numpy(item)
    if flat.dtype not in _NAMES or flat.layout != torch.strided:
        said = f"{flat.layout}, {flat.dtype}"
        raise WireError(f"an array of {said}; accepted: strided, {', '.join(DTYPES)}")
    flat = flat.resolve_conj().resolve_neg().contiguous()
    if flat.ndim > caps.dims:
        raise WireError(f"an array of {flat.ndim} dimensions; accepted: up to {caps.dims}")
    size = flat.numel() * flat.element_size()
    if len(body) + size > caps.body:
        raise WireError(f"arrays of over {caps.body >> 20} MiB, this one of {size >> 20} MiB")
    start = len(body)
    body += flat.reshape(-1).view(torch.uint8).numpy().tobytes()
    kind = "tensor" if tensor else "array" if isinstance(item, np.ndarray) else "scalar"
    return {kind: [_NAMES[flat.dtype], list(flat.shape), start]}


def _from_numpy(item: np.ndarray | np.generic) -> torch.Tensor:
    try:
        native = np.array(item)  # a copy: writable
        return torch.from_numpy(np.ascontiguousarray(native, native.dtype.newbyteorder("=")))
    except (TypeError, ValueError):
        raise WireError(f"an array of {item.dtype}; accepted: {', '.join(DTYPES)}") from None


def unpack(tree: object, body: bytes, caps: Caps = CAPS) -> object:
    """The value that `pack` described; nothing in `tree` is believed.

    Returns:
        The value; tensors and arrays are fresh copies.

    Raises:
        WireError: anything but what `pack` makes.
    """
    return _Unpacker(body, caps).value(tree, 0)


class _Unpacker:
    """Reads a described value; counts its parts, so that none is endless."""

    def __init__(self, body: bytes, caps: Caps) -> None:
        self.caps, self.body, self.left = caps, body, caps.nodes
        self.unread = len(body)

    def value(self, node: object, depth: int) -> object:
        self.left -= 1
        if depth > self.caps.depth or self.left < 0:
            raise WireError("a value too deep or of too many parts")
        if node is None or isinstance(node, bool | int | str):
            return _plain(node, self.caps)
        if not isinstance(node, dict) or len(node) != 1:
            raise WireError("a part that is neither plain nor described")
        ((kind, content),) = node.items()
        if kind in ("tensor", "array", "scalar"):
            return self.array(kind, content)
        if kind in _READERS:
            return _READERS[kind](content)
        if kind not in ("list", "tuple", "dict") or not isinstance(content, list):
            raise WireError("a part of an unknown kind")
        if kind == "dict":
            return {key: self.value(v, depth + 1) for key, v in map(_pair, content)}
        parts = [self.value(part, depth + 1) for part in content]
        return parts if kind == "list" else tuple(parts)

    def array(self, kind: str, content: object) -> object:
        """An array; all together take no more bytes than came, so that none are copied twice."""
        name, shape, start = _described(content, self.caps)
        size = math.prod(shape) * DTYPES[name].itemsize
        if size > len(self.body) - start:
            raise WireError("an array larger than the bytes that came with it")
        self.unread -= size
        if self.unread < 0:
            raise WireError("arrays that overlap")
        return _read_array(kind, name, shape, self.body[start : start + size])


def _pair(item: object) -> tuple[object, object]:
    if not (isinstance(item, list) and len(item) == 2 and type(item[0]) in (str, int)):
        raise WireError("a dict entry that is not a key and a value")
    return item[0], item[1]


def _read_float(content: object) -> float:
    if not isinstance(content, str) or len(content) > 40:
        raise WireError("a number that is not one")
    try:
        return float(content)
    except ValueError:
        raise WireError("a number that is not one") from None


def _read_network(content: object) -> NetworkSpec:
    kinds = [type(part) for part in content] if isinstance(content, list) else []
    if kinds != [str, int, int]:
        raise WireError("a network that is not described as one")
    return NetworkSpec(*content)


def _read_opaque(content: object) -> Opaque:
    if not isinstance(content, str) or len(content) > 100:
        raise WireError("a class name that is not one")
    return Opaque(content)


_READERS = {"float": _read_float, "network": _read_network, "opaque": _read_opaque}


def _described(content: object, caps: Caps) -> tuple[str, list[int], int]:
    """The dtype's name, the shape and the place of an array, each possible in itself."""
    try:
        name, shape, start = content
        DTYPES[name]
        exact = [type(n) is int and 0 <= n <= caps.body for n in (*shape, start)]
    except (TypeError, ValueError, KeyError):
        raise WireError("an array that is not described as one") from None
    if not (isinstance(shape, list) and len(shape) <= caps.dims and all(exact)):
        raise WireError("an array of an impossible shape or place")
    if math.prod(max(n, 1) for n in shape) > caps.body:
        raise WireError("an array of an impossible shape")  # empty, but its strides overflow
    return name, shape, start


def _read_array(kind: str, name: str, shape: list[int], content: bytes) -> object:
    """An array of bytes that really came."""
    raw, dtype = bytearray(content), DTYPES[name]
    # A bool's byte must be 0 or 1: torch computes nonsense on others.
    if dtype == torch.bool and raw.translate(None, b"\0\1"):
        raise WireError("a truth value that is neither true nor false")
    flat = torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)
    tensor = flat.reshape(shape)
    if kind == "tensor":
        return tensor
    if dtype == torch.bfloat16:
        raise WireError("NumPy has no bfloat16")
    return tensor.numpy() if kind == "array" else tensor.numpy()[()]


# ------------------------------------------------------------------ messages


def encode(kind: str, caps: Caps = CAPS, /, **fields: object) -> bytes:
    """One frame: a message of that kind, with its fields.

    Raises:
        WireError: as `pack`, or a header beyond the caps.
    """
    tree, body = pack(fields, caps)
    text = json.dumps({"kind": kind, "fields": tree}, allow_nan=False).encode()
    if len(text) > caps.header:
        raise WireError(f"a header of {len(text):,} bytes; accepted: {caps.header:,}")
    return PREFIX.pack(MAGIC, len(text), len(body)) + text + body


def lengths(prefix: bytes, caps: Caps = CAPS) -> tuple[int, int]:
    """Header and body lengths that a frame announces, both within the caps.

    Raises:
        WireError: no frame, or one that is too large.
    """
    magic, header, body = PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise WireError("bytes that are not a message")
    if header > caps.header or body > caps.body:
        raise WireError(f"a message of {(header + body) >> 20} MiB; accepted: {caps.body >> 20}")
    return header, body


def decode(header: bytes, body: bytes, caps: Caps = CAPS) -> tuple[str, dict]:
    """A message's kind and its fields.

    Raises:
        WireError: anything but what `encode` makes.
    """
    try:
        found = json.loads(header.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError too
        raise WireError("a header that is not JSON") from None
    if not isinstance(found, dict) or set(found) != {"kind", "fields"}:
        raise WireError("a header without kind and fields")
    fields = unpack(found["fields"], body, caps)
    if not (isinstance(found["kind"], str) and isinstance(fields, dict)):
        raise WireError("a header without kind and fields")
    return found["kind"], fields


def _no_constant(name: str) -> None:
    raise ValueError(name)


def receive(read: Callable[[int], bytes], caps: Caps = CAPS) -> tuple[str, dict]:
    """The next message, from a function that returns exactly the bytes asked for.

    Raises:
        WireError: anything but a message; and what `read` raises.
    """
    header, body = lengths(read(PREFIX.size), caps)
    return decode(read(header), read(body), caps)
