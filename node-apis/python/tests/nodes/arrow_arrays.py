"""Arrays of every type that pyarrow makes, for hypothesis: nested, with nulls, cut out of larger ones."""

import string
from datetime import timedelta
from decimal import Decimal

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa

TEXT = st.text(alphabet=string.ascii_letters + "äß€𝄞 ", max_size=20)
BYTES = st.binary(max_size=20)


def _ints(bits, signed):
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    return st.integers(low, high)


def _floats(width):
    # NaN is not equal to itself; tests that want one say so.
    return st.floats(width=width, allow_nan=False)


def _leaves():
    leaves = [(pa.null(), st.none()), (pa.bool_(), st.booleans())]
    for bits in (8, 16, 32, 64):
        leaves.append((getattr(pa, f"int{bits}")(), _ints(bits, True)))
        leaves.append((getattr(pa, f"uint{bits}")(), _ints(bits, False)))
    leaves.append((pa.float16(), _floats(16).map(np.float16)))
    leaves += [(pa.float32(), _floats(32)), (pa.float64(), _floats(64))]
    leaves += [(pa.string(), TEXT), (pa.large_string(), TEXT), (pa.string_view(), TEXT)]
    leaves += [(pa.binary(), BYTES), (pa.large_binary(), BYTES), (pa.binary_view(), BYTES)]
    leaves += [(pa.binary(0), st.just(b"")), (pa.binary(7), st.binary(min_size=7, max_size=7))]
    for unit in ("s", "ms", "us", "ns"):
        for zone in (None, "UTC", "Europe/Berlin", "+05:30"):
            leaves.append((pa.timestamp(unit, zone), _ints(40, True)))
        leaves.append((pa.duration(unit), _ints(64, True)))
    leaves += [(pa.date32(), _ints(16, True)), (pa.date64(), _ints(16, True).map(lambda day: day * 86_400_000))]
    leaves += [(pa.time32("s"), st.integers(0, 86_399)), (pa.time32("ms"), st.integers(0, 86_399_999))]
    leaves += [(pa.time64("us"), st.integers(0, 86_399_999_999)), (pa.time64("ns"), _ints(46, False))]
    leaves += [(pa.month_day_nano_interval(), st.tuples(_ints(32, True), _ints(32, True), _ints(64, True)))]
    small = st.integers(-9_999, 9_999).map(lambda number: Decimal(number).scaleb(-2))
    leaves += [(pa.decimal128(38, 2), small), (pa.decimal256(76, 2), small)]
    if hasattr(pa, "decimal32"):
        leaves += [(pa.decimal32(6, 2), small), (pa.decimal64(18, 2), small)]
    return leaves


LEAVES = _leaves()


@st.composite
def leaf(draw, length):
    data_type, values = draw(st.sampled_from(LEAVES))
    nullable = values if draw(st.booleans()) else st.none() | values
    return pa.array(draw(st.lists(nullable, min_size=length, max_size=length)), type=data_type)


def _mask(draw, length):
    """Which of the values are null; `None` for none of them."""
    if not draw(st.booleans()):
        return None
    return pa.array(draw(st.lists(st.booleans(), min_size=length, max_size=length)), type=pa.bool_())


@st.composite
def struct(draw, length, depth):
    count = draw(st.integers(1, 3))
    fields = [draw(array(length, depth)) for _ in range(count)]
    return pa.StructArray.from_arrays(fields, names=[f"f{n}" for n in range(count)], mask=_mask(draw, length))


def _offsets(draw, length):
    sizes = draw(st.lists(st.integers(0, 3), min_size=length, max_size=length))
    offsets = [0]
    for size in sizes:
        offsets.append(offsets[-1] + size)
    return offsets


@st.composite
def lists(draw, length, depth):
    offsets = _offsets(draw, length)
    values = draw(array(offsets[-1], depth))
    kind, width = draw(st.sampled_from([(pa.ListArray, pa.int32()), (pa.LargeListArray, pa.int64())]))
    return kind.from_arrays(pa.array(offsets, width), values, mask=_mask(draw, length))


@st.composite
def list_views(draw, length, depth):
    values = draw(array(draw(st.integers(0, 10)), depth))
    starts = draw(st.lists(st.integers(0, len(values)), min_size=length, max_size=length))
    sizes = [draw(st.integers(0, len(values) - start)) for start in starts]
    kind, width = draw(st.sampled_from([(pa.ListViewArray, pa.int32()), (pa.LargeListViewArray, pa.int64())]))
    return kind.from_arrays(pa.array(starts, width), pa.array(sizes, width), values, mask=_mask(draw, length))


@st.composite
def fixed_lists(draw, length, depth):
    size = draw(st.integers(1, 3))
    values = draw(array(length * size, depth))
    return pa.FixedSizeListArray.from_arrays(values, size, mask=_mask(draw, length))


@st.composite
def maps(draw, length, depth):
    offsets = _offsets(draw, length)
    keys = pa.array([f"k{n}" for n in range(offsets[-1])], pa.string())
    return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), keys, draw(array(offsets[-1], depth)))


@st.composite
def dictionaries(draw, length, depth):
    values = draw(leaf(draw(st.integers(1, 6))))
    keys = draw(st.sampled_from([pa.int8(), pa.uint16(), pa.int32(), pa.int64()]))
    key = st.none() | st.integers(0, len(values) - 1)
    return pa.DictionaryArray.from_arrays(
        pa.array(draw(st.lists(key, min_size=length, max_size=length)), keys), values
    )


@st.composite
def runs(draw, length, depth):
    ends = sorted(draw(st.sets(st.integers(1, length), max_size=4)) | {length}) if length else []
    width = draw(st.sampled_from([pa.int16(), pa.int32(), pa.int64()]))
    return pa.RunEndEncodedArray.from_arrays(pa.array(ends, width), draw(leaf(len(ends))))


@st.composite
def sparse_unions(draw, length, depth):
    count = draw(st.integers(1, 3))
    ids = draw(st.lists(st.integers(0, count - 1), min_size=length, max_size=length))
    return pa.UnionArray.from_sparse(pa.array(ids, pa.int8()), [draw(array(length, depth)) for _ in range(count)])


@st.composite
def dense_unions(draw, length, depth):
    count = draw(st.integers(1, 3))
    children = [draw(array(draw(st.integers(1, 6)), depth)) for _ in range(count)]
    ids = draw(st.lists(st.integers(0, count - 1), min_size=length, max_size=length))
    # Arrow wants the offsets into each child to grow.
    last = [0] * count
    offsets = []
    for child in ids:
        last[child] = draw(st.integers(last[child], len(children[child]) - 1))
        offsets.append(last[child])
    return pa.UnionArray.from_dense(pa.array(ids, pa.int8()), pa.array(offsets, pa.int32()), children)


NESTED = [struct, lists, list_views, fixed_lists, maps, dictionaries, runs, sparse_unions, dense_unions]


@st.composite
def array(draw, length, depth=0):
    """An array of this length, perhaps a slice of a longer one."""
    before, after = draw(st.tuples(st.integers(0, 3), st.integers(0, 3)) | st.just((0, 0)))
    whole = length + before + after
    if depth >= 3 or draw(st.booleans()):
        made = draw(leaf(whole))
    else:
        made = draw(draw(st.sampled_from(NESTED))(whole, depth + 1))
    return made.slice(before, length)


def arrays():
    """Arrays of any type and shape."""
    return st.integers(0, 12).flatmap(array)


def one_of_each():
    """For each type of pyarrow that is no container: an empty array, one of nulls, and one cut out of a larger one."""
    for data_type, values in LEAVES:
        yield pa.array([], type=data_type)
        yield pa.nulls(5, data_type)
        yield pa.nulls(0, pa.list_(data_type))
        if data_type == pa.duration("s"):
            yield pa.array([timedelta(seconds=1), None, timedelta(0)], type=data_type).slice(1)
