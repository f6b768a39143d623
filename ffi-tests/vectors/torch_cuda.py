"""Writes cuda.txt, numbers of torch's CUDA generator, on a machine with a GPU: every number in it
came from the GPU, never from vesde.

`torch_cuda.py` writes the file, which the tests expect to be of an H100. `torch_cuda.py --check`
compares the numbers of this GPU, with the grid of that one, with the file and exits 1 on a
difference. `torch_cuda.py --compare` compares vesde with this GPU over whole draws of up to 2³⁰ + 3
elements, bit by bit, with the package that is installed (pip install ./python), and exits 1 on a
difference."""

import ctypes
import pathlib
import sys

import numpy as np
import torch

HERE = pathlib.Path(__file__).resolve().parent
VECTORS = HERE / "cuda.txt"
GPU = torch.cuda.get_device_properties(0)
GRID = GPU.multi_processor_count, GPU.max_threads_per_multi_processor
THREADS = GRID[0] * (GRID[1] // 256) * 256
LONGEST = 2**29

HEADER = f"""\
# Numbers of a GPU for vesde, made by torch_cuda.py. Do not edit.
# A line is one array: CASE NAME TYPE COUNT WORD...; the words are the bits in hex, 8 digits for f32 and u32,
# 16 digits for u64. A case is a generator with this seed, on a GPU of so many multiprocessors and threads of one, that
# makes draws of these lengths one after the other; `out` has the elements at these indices of all of them together.
# torch {torch.__version__}, {GPU.name}
"""


def randn(seed, calls):
    generator = torch.Generator("cuda").manual_seed(seed)
    return generator, [torch.randn(n, generator=generator, device="cuda") for n in calls]


def spread(calls):
    """Indices of elements: all of short streams; of long ones the first and last of each draw,
    those around the ends of the grid's rows, and others here and there."""
    total = sum(calls)
    if total <= 512:
        return np.arange(total)
    chosen, start = [], 0
    for n in calls:
        rows = np.arange(THREADS, n, THREADS)
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), 12)).astype(int)] if len(rows) else rows
        near = np.concatenate([[0, n], rows, np.random.default_rng(n).integers(0, n, 60)])
        near = (near[:, None] + np.arange(-2, 2)).ravel()
        chosen.append(start + np.unique(near[(near >= 0) & (near < n)]))
        start += n
    return np.concatenate(chosen)


CASES = [
    (0, [1]),
    (42, [512]),
    (0, [1, 2, 3, 5, 7, 16, 33, 255, 64]),
    (2**63 + 12345, [257]),
    (2**64 - 1, [1, 100, 1, 100]),
    (5, [4 * 64 * 64]),
    (5 + 2**32, [300]),
    (1, [1, 3 * 256 * 256, 1, 3 * 256 * 256]),
    (2, [THREADS, 1, THREADS + 1, 2]),
    (3, [2 * THREADS - 1, 3 * THREADS + 1, 4 * THREADS, 1]),
    (4, [4 * THREADS + 1, 1, 9 * THREADS + 77, 1]),
    (6, [3 * 1024 * 1024, 3 * 1024 * 1024]),
    (7, [2**26 + 5, 3]),
    (8, [LONGEST, 1]),
]


def text():
    lines = [HEADER]

    def put(case, name, kind, words):
        digits = 16 if kind == "u64" else 8
        lines.append(f"torch_cuda/{case:02} {name} {kind} {len(words)} " + " ".join(f"{int(w):0{digits}x}" for w in words) + "\n")

    for case, (seed, calls) in enumerate(CASES):
        _, draws = randn(seed, calls)
        at = spread(calls)
        out = torch.cat(draws)[torch.from_numpy(at).cuda()].cpu().numpy()
        put(case, "grid", "u32", GRID)
        put(case, "seed", "u64", [seed])
        put(case, "calls", "u32", calls)
        put(case, "indices", "u32", at)
        put(case, "out", "f32", out.view(np.uint32))
        del draws
    return "".join(lines)


def check(made):
    """Exits 1, naming what differs, unless the file has these numbers."""
    old = VECTORS.read_text().splitlines()
    differ = [line.split()[:2] for line, fresh in zip(old, made.splitlines(), strict=True) if line != fresh and line[0] != "#"]
    print("made here:", made.splitlines()[4])
    if differ:
        sys.exit(f"differ: {differ}")
    print("cuda.txt is what this GPU computes")


def compare():
    from vesde import abi

    grid = abi.CudaGrid(*GRID)
    try:
        known = abi.grid_of_gpu(GPU.name)
        known = f"knows {known.multiprocessors, known.threads_per_multiprocessor}"
    except abi.Error:
        known = "does not know it"
    print(f"{GPU.name}: grid {GRID}, vesde {known}; torch {torch.__version__}")
    total = differ = 0
    for seed, calls in [(0, [LONGEST]), (1, [1, LONGEST - 3, 5]), (2**40 + 9, [LONGEST // 2] * 2), (9, range(1, 2000, 37)),
                        (3, [LONGEST + 1, 2 * LONGEST + 3, 5])]:  # which torch splits
        state = abi.generator(abi.TORCH_CUDA, seed, grid)
        generator = torch.Generator("cuda").manual_seed(seed)
        for n in calls:
            theirs = torch.randn(n, generator=generator, device="cuda")
            ours = torch.empty(n)
            one, size = ctypes.c_size_t(1), ctypes.c_size_t(n)
            abi.call("randn", ctypes.byref(state), one, size, ctypes.c_void_p(ours.data_ptr()))
            wrong = (ours.cuda().view(torch.int32) != theirs.view(torch.int32)).nonzero().ravel()
            for i in wrong[:5].tolist():
                print(f"seed {seed}, draw of {n}, element {i}: {theirs[i].item()!r} on the GPU, {ours[i].item()!r} here")
            assert state.torch_cuda.offset == generator.get_offset()
            total, differ = total + n, differ + len(wrong)
    print(f"{total} elements compared, {differ} differ")
    sys.exit(differ > 0)


def main():
    if sys.argv[1:] == ["--compare"]:
        compare()
    elif sys.argv[1:] == ["--check"]:
        check(text())
    elif sys.argv[1:]:
        sys.exit("usage: torch_cuda.py [--check | --compare]")
    else:
        VECTORS.write_text(text())


main()
