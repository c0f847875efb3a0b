"""The wire: every value arrives as it was; anything else is refused, whatever the bytes."""

import json
import math
import random
import struct
import tracemalloc

import numpy as np
import pytest
import torch

from course_utils.checking.core import NetworkSpec, Opaque
from course_utils.grading.sandboxed import wire


def travel(value):
    """A value after a journey."""
    frame = wire.encode("answer", value=value)
    stream = memoryview(frame)

    def read(size):
        nonlocal stream
        part, stream = bytes(stream[:size]), stream[size:]
        return part

    return wire.receive(read)[1]["value"]


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 0, -(2**62), "text \u2713", [1, [2, ["3"]]], {"a": 1, 2: {"b": []}}),
        *(NetworkSpec("tiny_cnn", 3, 5), Opaque("generator"), (1, "a"), 0.1, -0.0, 1e-320, []),
        *(math.inf, -math.inf),
    ],
    ids=repr,
)
def test_values_arrive_unchanged(value):
    found = travel(value)
    assert found == value
    assert type(found) is type(value)


def test_nan_arrives():
    assert math.isnan(travel(math.nan))


@pytest.mark.parametrize("dtype", wire.DTYPES.values(), ids=str)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3), (2, 1, 3, 2)])
def test_tensors_arrive_bit_by_bit(dtype, shape):
    random = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    sent = [(random * 3).to(dtype), (random * 3).to(dtype).T if random.ndim == 2 else random]
    for one, other in zip(sent, travel(sent), strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


def test_arrays_arrive_as_arrays():
    sent = np.arange(6, dtype=">i4").reshape(2, 3)[:, ::-1]
    found = travel(sent)
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, sent)
    assert travel(np.float32(0.5)) == np.float32(0.5)


def test_a_subclass_travels_as_a_plain_tensor():
    class Agreeing(torch.Tensor):
        def __eq__(self, other):
            return True

    found = travel(torch.zeros(2).as_subclass(Agreeing))
    assert type(found) is torch.Tensor
    assert not (found == torch.ones(2)).any()


@pytest.mark.parametrize(
    "value",
    [object(), {(1,): 2}, 2**70, b"bytes", np.array(["a"]), torch.zeros(1).to_sparse()],
    ids=lambda value: type(value).__name__,
)
def test_what_may_not_travel_is_refused(value):
    with pytest.raises(wire.WireError, match="accepted|64 bits"):
        wire.encode("answer", value=value)


def test_too_deep_and_too_much_is_refused():
    deep = []
    for _ in range(30):
        deep = [deep]
    for value in (deep, [0] * 30_000, "x" * 300_000, torch.zeros(20_000_000)):
        with pytest.raises(wire.WireError):
            wire.encode("answer", value=value)


HOSTILE = [
    {"tensor": ["float32", [1 << 40], 0]},
    {"tensor": ["float32", [1 << 20, 1 << 20, 0], 0]},
    {"tensor": ["float32", [2], 4]},
    {"tensor": ["float32", [-1], 0]},
    {"tensor": ["float32", [1.0], 0]},
    {"tensor": ["float32", [True], 0]},
    {"tensor": ["float32", "11", 0]},
    {"tensor": ["float32", [1] * 9, 0]},
    {"tensor": ["float32", [1], -4]},
    {"tensor": ["object", [1], 0]},
    {"tensor": [["float32"], [1], 0]},
    {"tensor": ["bool", [4], 0]},
    {"array": ["bfloat16", [1], 0]},
    {"tensor": None},
    {"float": "1" * 100},
    {"float": "nan()"},
    {"float": 1.5},
    {"network": ["tiny_cnn", 1]},
    {"network": ["tiny_cnn", True, 5]},
    {"opaque": 3},
    {"pickle": "gASVAAAA"},
    {"dict": [[["a"], 1]]},
    {"dict": [["a"]]},
    {"list": {"a": 1}},
    {"list": [], "tuple": []},
    [1],
    1.5,
    2**64,
]


@pytest.mark.parametrize("tree", HOSTILE, ids=lambda tree: json.dumps(tree)[:40])
def test_hostile_descriptions_are_refused(tree):
    with pytest.raises(wire.WireError):
        wire.unpack(tree, b"\x02\x03\x04\x05")


def test_bytes_are_copied_once():
    """Naming the same bytes again and again costs a header's line, and would cost the judge all."""
    body = bytes(1 << 20)
    half = {"tensor": ["uint8", [1 << 19], 0]}
    other = {"tensor": ["uint8", [1 << 19], 1 << 19]}
    assert len(wire.unpack({"list": [half, other]}, body)) == 2
    tracemalloc.start()
    for tree in ([half] * 3, [half, other, {"array": ["bool", [1], 0]}], [half] * 10_000):
        with pytest.raises(wire.WireError, match="overlap"):
            wire.unpack({"list": tree}, body)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    "header",
    [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"kind": NaN, "fields": {}}']
    + [b'{"kind": 1, "fields": {"dict": []}}', b'{"kind": "a", "fields": [], "more": 1}']
    + [b'{"kind": "a", "fields": ' + b"9" * 5000 + b"}", b'{"kind": "a", "fields": {"list": []}}'],
    ids=lambda header: repr(header[:20]),
)
def test_hostile_headers_are_refused(header):
    with pytest.raises(wire.WireError):
        wire.decode(header, b"")


@pytest.mark.parametrize(
    "prefix",
    [
        *(struct.pack("<4sIQ", b"CWR1", 1 << 31, 0), struct.pack("<4sIQ", b"CWR1", 0, 1 << 63)),
        struct.pack("<4sIQ", b"\x80\x04CW", 1, 1),
    ],
)
def test_no_length_is_believed(prefix):
    with pytest.raises(wire.WireError):
        wire.lengths(prefix)


def test_damaged_messages_never_do_more_than_fail():
    """Two thousand messages with some bytes changed: a value or a `WireError`, nothing else."""
    draw = random.Random(0)
    value = {"value": [torch.ones(2, 3), 1.5, "a", NetworkSpec(), {"k": True}], "fault": None}
    frame = wire.encode("answer", **value)
    header, body = wire.lengths(frame[: wire.PREFIX.size])
    refused = 0
    for _ in range(2000):
        damaged = bytearray(frame[wire.PREFIX.size :])
        for _ in range(draw.randint(1, 4)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        try:
            wire.decode(bytes(damaged[:header]), bytes(damaged[header : header + body]))
        except wire.WireError:
            refused += 1
    assert 1000 < refused < 2000
