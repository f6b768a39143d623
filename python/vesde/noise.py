"""Standard normal noise as NumPy arrays: torch's, CUDA's and NumPy's own bits, and counter noise.

The library writes into the array that is returned, or into the caller's: there is no copy.
"""

from __future__ import annotations

import ctypes
import operator
import threading
from collections.abc import Iterable
from typing import Any, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from . import abi

Array: TypeAlias = npt.NDArray[np.float32]
Shape: TypeAlias = SupportsIndex | Iterable[SupportsIndex]


def unsigned(value: SupportsIndex, name: str, bits: int = 64) -> int:
    """A whole number of so many bits, which ctypes would wrap."""
    number = operator.index(value)
    if not 0 <= number < 2**bits:
        raise ValueError(f"{name} must be at least 0 and less than 2**{bits}, not {number}")
    return number


def writable(array: Array, name: str) -> Array:
    """An array that the library can write into as it is."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, not {type(array).__name__}")
    if array.dtype != np.float32:
        raise TypeError(f"{name} must be of float32, not {array.dtype}")
    if not (array.flags.c_contiguous and array.flags.writeable):
        raise ValueError(f"{name} must be contiguous and writable")
    return array


def destination(shape: Shape | None, out: Array | None) -> Array:
    """A new array, or the caller's, which need not be said the shape of."""
    asked = None
    if isinstance(shape, Iterable):
        asked = tuple(operator.index(size) for size in shape)
    elif shape is not None:
        asked = (operator.index(shape),)
    if out is not None:
        writable(out, "out")
        if asked is not None and out.shape != asked:
            raise ValueError(f"out has the shape {out.shape}, not {asked}")
        return out
    if asked is None:
        raise TypeError("a shape or out is needed")
    return np.empty(asked, np.float32)


class Generator:
    """A generator of noise, which goes on with each draw. Threads may share it: a draw is whole.

    A copy, or what pickle makes of it, goes on as it would.
    """

    _state: abi.Generator

    def __init__(self, kind: int, seed: SupportsIndex, grid: abi.CudaGrid | None = None):
        self._state = abi.generator(kind, unsigned(seed, "seed"), grid)
        self._lock = threading.Lock()

    def randn(self, shape: Shape | None = None, *, out: Array | None = None) -> Array:
        """Standard normal numbers: a new array of this shape, or `out`, in place.

        It is one draw: of torch two draws of 8 are not one of 16.
        """
        return self._draw("randn", shape, out, ctypes.c_size_t(1))

    def _draw(
        self, name: str, shape: Shape | None, out: Array | None, *counts: ctypes.c_size_t
    ) -> Array:
        made = destination(shape, out)
        length = ctypes.c_size_t(made.size)
        with self._lock:
            abi.call(name, ctypes.byref(self._state), *counts, length, abi.pointer(made))
        return made

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:  # which has no copy
            of = {name: value for name, value in vars(self).items() if name != "_lock"}
            return of | {"_state": bytes(self._state)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())
        self._state = abi.Generator.from_buffer_copy(state["_state"])


class TorchCpu(Generator):
    """torch.Generator().manual_seed(seed), of which a seed's lower 32 bits count."""

    def __init__(self, seed: SupportsIndex):
        super().__init__(abi.TORCH_CPU, seed)

    def rand(self, shape: Shape | None = None, *, out: Array | None = None) -> Array:
        """torch.rand: uniform numbers, at least 0 and less than 1."""
        return self._draw("rand", shape, out)

    def rademacher(self, shape: Shape | None = None, *, out: Array | None = None) -> Array:
        """2·torch.randint(0, 2, shape) − 1: the probe of a divergence."""
        return self._draw("rademacher", shape, out)


class TorchCuda(Generator):
    """torch.Generator("cuda").manual_seed(seed), on a GPU of this name or grid.

    The name is that of torch.cuda.get_device_name, or "unlimited", a GPU that runs all threads at
    once. The grid, for GPUs that vesde does not know, is multi_processor_count and
    max_threads_per_multi_processor of torch.cuda.get_device_properties.
    """

    def __init__(
        self, seed: SupportsIndex, gpu: str | None = None, *, grid: tuple[int, int] | None = None
    ):
        if (gpu is None) == (grid is None):
            raise TypeError("the gpu's name is needed, or its grid")
        if gpu is not None:
            of = abi.grid_of_gpu(gpu)
        else:
            of = abi.CudaGrid(*(min(unsigned(count, "grid"), 2**32 - 1) for count in grid or ()))
        super().__init__(abi.TORCH_CUDA, seed, of)


class Numpy(Generator):
    """numpy.random.RandomState(seed), rounded to float32."""

    def __init__(self, seed: SupportsIndex):
        super().__init__(abi.NUMPY, seed)


class Counter(Generator):
    """vesde's own noise, the fastest: each draw is the next stream of `counter_noise`."""

    def __init__(self, seed: SupportsIndex):
        super().__init__(abi.COUNTER, seed)

    def rademacher(self, shape: Shape | None = None, *, out: Array | None = None) -> Array:
        """The signs of what `randn` would draw."""
        return self._draw("rademacher", shape, out)


def counter_noise(
    seed: SupportsIndex,
    stream: SupportsIndex = 0,
    index: SupportsIndex = 0,
    shape: Shape | None = None,
    *,
    out: Array | None = None,
) -> Array:
    """Noise that is a function of its place: elements from `index` on of a stream of a seed.

    Parts of it may be made in any order, on any thread.
    """
    made = destination(shape, out)
    names = ("seed", "stream", "index")
    place = abi.Counter(*map(unsigned, (seed, stream, index), names))
    abi.call("counter_fill", place, ctypes.c_size_t(made.size), abi.pointer(made))
    return made
