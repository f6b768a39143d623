"""Generators against numbers that torch, a GPU and NumPy gave: ffi-tests/vectors."""

import copy
import pathlib
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import vesde

VECTORS = pathlib.Path(__file__).resolve().parents[2] / "ffi-tests" / "vectors"
KINDS = [vesde.TorchCpu, vesde.Numpy, vesde.Counter, lambda seed: vesde.TorchCuda(seed, "H200")]


def cases(file, prefix):
    """By case, the arrays: words in hex."""
    types = {"f32": np.uint32, "u32": np.uint32, "u64": np.uint64, "f64": np.uint64}
    made = {}
    for line in (VECTORS / file).read_text().splitlines():
        case, name, kind, _, *words = line.split()
        if case.startswith(prefix + "/"):
            array = np.array([int(word, 16) for word in words], types[kind])
            made.setdefault(case, {})[name] = array.view(np.float32) if kind == "f32" else array
    assert len(made) > 3
    return made.values()


def same_bits(a, b):
    return np.array_equal(a.view(np.uint32), b.view(np.uint32))


def drawn(generator, case):
    return np.concatenate([generator.randn(int(size)) for size in case["calls"]])


@pytest.mark.parametrize(
    ("kind", "prefix"), [(vesde.TorchCpu, "torch_randn"), (vesde.Numpy, "numpy_randn")]
)
def test_numbers_of_torch_and_numpy(kind, prefix):
    for case in cases("golden.txt", prefix):
        assert same_bits(drawn(kind(int(case["seed"][0])), case), case["out"])


def test_numbers_of_a_gpu():
    for case in cases("cuda.txt", "torch_cuda"):
        if case["calls"].sum() < 1_000_000:
            grid = tuple(map(int, case["grid"]))
            of = drawn(vesde.TorchCuda(int(case["seed"][0]), grid=grid), case)
            assert same_bits(of[case["indices"]], case["out"])


def test_numpys_own():
    of = np.random.RandomState(7).standard_normal((3, 5)).astype(np.float32)
    assert same_bits(vesde.Numpy(7).randn((3, 5)), of)


def test_a_gpu_by_name_and_by_grid():
    a, b = vesde.TorchCuda(1, "NVIDIA H200"), vesde.TorchCuda(1, grid=(132, 2048))
    assert same_bits(a.randn(1_000_003), b.randn(1_000_003))
    with pytest.raises(vesde.Error, match="No GPU|no GPU"):
        vesde.TorchCuda(1, "a toaster")
    for wrong in ({}, {"gpu": "T4", "grid": (1, 1024)}):
        with pytest.raises(TypeError, match="gpu"):
            vesde.TorchCuda(1, **wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_out_is_filled_in_place(kind):
    out = np.zeros((3, 4, 5), np.float32)
    address = out.ctypes.data
    assert kind(3).randn(out=out) is out
    assert out.ctypes.data == address
    assert same_bits(out, kind(3).randn((3, 4, 5)))
    whole = np.zeros((4, 60), np.float32)
    part = kind(3).randn(out=whole[2].reshape(3, 4, 5))
    assert np.shares_memory(part, whole)
    assert same_bits(whole[2], out.ravel())
    assert not whole[[0, 1, 3]].any()


def test_memory_of_others_is_filled_in_place():
    memory = bytearray(64)
    vesde.TorchCpu(3).randn(out=np.frombuffer(memory, np.float32))
    assert bytes(memory) == vesde.TorchCpu(3).randn(16).tobytes()


READ_ONLY = np.zeros(8, np.float32)
READ_ONLY.flags.writeable = False
UNALIGNED = np.frombuffer(bytearray(33), np.uint8)[1:].view(np.float32)


@pytest.mark.parametrize(
    ("error", "message", "shape", "out"),
    [
        (TypeError, "float32, not float64", None, np.zeros(8)),
        (TypeError, "float32, not >f4", None, np.zeros(8, ">f4")),
        (TypeError, "float32, not int32", None, np.zeros(8, np.int32)),
        (TypeError, "NumPy array, not list", None, [0.0] * 8),
        (TypeError, "a shape or out", None, None),
        (TypeError, "integer", 2.5, None),
        (TypeError, "integer", (2, 2.5), None),
        (ValueError, "contiguous", None, np.zeros((8, 2), np.float32)[:, 0]),
        (ValueError, "contiguous", None, np.zeros((2, 4), np.float32).T),
        (ValueError, "contiguous", None, np.zeros(8, np.float32)[::-1]),
        (ValueError, "writable", None, READ_ONLY),
        (ValueError, "aligned", None, UNALIGNED),
        (ValueError, r"shape \(8,\), not \(7,\)", 7, np.zeros(8, np.float32)),
        (ValueError, r"shape \(8,\), not \(2, 4\)", (2, 4), np.zeros(8, np.float32)),
        (ValueError, "negative", -1, None),
    ],
)
def test_what_is_refused(error, message, shape, out):
    before = None if out is None else np.array(out)
    generator = vesde.TorchCpu(1)
    for draw in (generator.randn, generator.rand, generator.rademacher):
        with pytest.raises(error, match=message):
            draw(shape, out=out)
    with pytest.raises(error, match=message):
        vesde.counter_noise(1, shape=shape, out=out)
    assert before is None or np.array_equal(out, before)
    assert same_bits(generator.randn(16), vesde.TorchCpu(1).randn(16))


def test_seeds():
    for kind in KINDS:
        for wrong in (-1, 2**64):
            with pytest.raises(ValueError, match="seed must be"):
                kind(wrong)
        with pytest.raises(TypeError):
            kind(1.5)
        kind(np.uint32(7))
    with pytest.raises(vesde.Error, match="too large"):
        vesde.Numpy(2**32)
    assert same_bits(vesde.TorchCpu(2**32 + 5).randn(9), vesde.TorchCpu(5).randn(9))


def test_shapes():
    assert vesde.TorchCpu(1).randn(()).shape == ()
    assert vesde.TorchCpu(1).randn([2, np.int64(3)]).shape == (2, 3)
    generator = vesde.TorchCpu(1)
    assert generator.randn((0, 3)).shape == (0, 3)
    assert same_bits(generator.randn(5), vesde.TorchCpu(1).randn(5))


def test_uniform_numbers_and_signs():
    uniform = vesde.TorchCpu(42).rand(10_000)
    assert 0 <= uniform.min() < 0.001
    assert 0.999 < uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.01
    for generator in (vesde.TorchCpu(42), vesde.Counter(42)):
        signs = generator.rademacher((100, 100))
        assert set(np.unique(signs)) == {-1, 1}
        assert abs(signs.mean()) < 0.03


def test_counter_noise_is_a_function_of_its_place():
    whole = vesde.counter_noise(42, 3, shape=10_000)
    part = np.empty(500, np.float32)
    vesde.counter_noise(42, 3, 4_321, out=part)
    assert same_bits(part, whole[4_321:4_821])
    generator = vesde.Counter(42)
    draws = [generator.randn(100) for _ in range(4)]
    assert same_bits(draws[3], whole[:100])
    for wrong in ({"stream": -1}, {"index": 2**64}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            vesde.counter_noise(1, shape=3, **wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_copies_go_on_alike(kind):
    generator = kind(9)
    generator.randn(7)
    copies = [copy.copy(generator), copy.deepcopy(generator)]
    copies.append(pickle.loads(pickle.dumps(generator)))
    numbers = generator.randn(33)
    assert all(same_bits(one.randn(33), numbers) for one in copies)
    assert not same_bits(generator.randn(33), numbers)


class Named(vesde.TorchCpu):
    def __init__(self, seed, name):
        super().__init__(seed)
        self.name = name


def test_copies_of_a_class_of_the_users():
    generator = Named(3, "probe")
    for one in (copy.copy(generator), pickle.loads(pickle.dumps(generator))):
        assert one.name == "probe"
        assert same_bits(one.randn(5), copy.copy(generator).randn(5))


def test_names_of_gpus_are_strings():
    with pytest.raises(TypeError, match="string"):
        vesde.TorchCuda(1, b"H200")


def test_threads_fill_parts():
    whole, size = np.empty(1 << 20, np.float32), 1 << 16
    with ThreadPoolExecutor(8) as pool:
        starts = range(0, whole.size, size)
        list(pool.map(lambda at: vesde.counter_noise(5, 0, at, out=whole[at : at + size]), starts))
    assert same_bits(whole, vesde.counter_noise(5, shape=whole.size))


@pytest.mark.parametrize("kind", KINDS)
def test_threads_share_a_generator(kind):
    generator, draws = kind(11), []
    barrier = threading.Barrier(8)

    def draw():
        barrier.wait()
        draws.extend(generator.randn(1024) for _ in range(50))

    threads = [threading.Thread(target=draw) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = kind(11)
    expected = sorted(alone.randn(1024).tobytes() for _ in range(400))
    assert sorted(one.tobytes() for one in draws) == expected
