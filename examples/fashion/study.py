"""Curves of quality against calls of the network: the paper's samplers and the fast ones.

Each cell is a sampler, a table of sigmas, a number of calls, a guidance and a seed: 1,000 pictures,
100 of each class, clamped to 0..1. Samplers run in the library, by ctypes; the network in torch.
Measured against the 10,000 test pictures:

  features  Frechet distance in the 64 features of classifier.py, of unit variance
  pixels    Frechet distance in the 784 pixels
  read      the share that the classifier reads as the class that was asked for

Cells are kept in a file, line by line: a second run goes on where the first one ended. In the end
it prints tables and draws the curves, and the samples that are nearest to a training picture.
"""

import argparse
import dataclasses
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from classifier import Classifier
from network import CLASSES, SIGMA_MAX, SIGMA_MIN, SIZE, Denoiser
from train import pictures

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "parity"))
import vesde  # noqa: E402
from cells import fill, frechet, moments, number, read, sample, summary  # noqa: E402

PIXELS = SIZE * SIZE
COUNT = 1000  # pictures a cell
CHUNK = 100  # pictures that go through the network at once
POOL = ThreadPoolExecutor(2)
SNR = 0.3  # of 0.05 to 0.3 the best for pc with 100 calls: it has steps that are too long
NAMES = ("t-shirt", "trousers", "pullover", "dress", "coat")
NAMES += ("sandal", "shirt", "sneaker", "bag", "boot")
MEASURES = ("calls", "features", "pixels", "read")
REAL = "real training pictures"
COLUMNS = (5, 8, 10, 20, 30, 50, 100, 200)
DEFAULT = ("2m-sde", "karras", 20, 1.5, 0)  # of the program


def grid(seeds: int) -> list[tuple]:
    """All cells, and those of few calls with each seed."""
    calls_of = {
        ("2m-sde", "karras", 1.0): (5, 8, 10, 20, 50),
        ("2m-sde", "karras", 1.25): (10, 20),
        ("2m-sde", "karras", 1.5): (5, 10, 20, 30),
        ("2m-sde", "karras 14", 1.0): (5, 8, 10, 20),
        ("2m", "karras", 1.0): (5, 10, 20),
        ("euler-a", "karras", 1.0): (10, 20),
        ("heun", "karras", 1.0): (20,),
        ("edm", "karras", 1.0): (20,),
        ("pc", "", 1.0): (20, 50, 100, 200),
        ("predictor", "", 1.0): (100,),
        ("corrector", "", 1.0): (100,),
    }
    cells = [(*what, calls, w) for (*what, w), several in calls_of.items() for calls in several]
    cells += [("ode", tolerance, 0, 1.0) for tolerance in ("1e-2", "1e-3", "1e-5")]
    few = [cell for cell in cells if cell[0] == "2m-sde" and cell[2] <= 10]
    anew = [(REAL, "", 0, 0.0, seed) for seed in range(5)]
    return anew + [(*cell, 0) for cell in cells] + [(*c, s) for s in range(1, seeds) for c in few]


def configuration(sigma_max: float = SIGMA_MAX, sigma_min: float = SIGMA_MIN) -> vesde.Config:
    config = vesde.Config.from_json((HERE / "scheduler_config.json").read_bytes())
    return dataclasses.replace(config, sigma_min=sigma_min, sigma_max=sigma_max, snr=SNR)


def load_network() -> Denoiser:
    network = Denoiser()
    network.load_state_dict(load_file(HERE / "weights.safetensors"))
    return network.to(memory_format=torch.channels_last).eval().requires_grad_(False)


class Clothes:
    """A batch of the network, with a class each, as the library's jobs call it."""

    def __init__(self, labels: Tensor, guidance: float = 1.0, bfloat16: bool = False):
        self.network = load_network()
        self.bfloat16 = bfloat16
        self.classes = torch.nn.functional.one_hot(labels, CLASSES).float()
        self.guidance = guidance

    def denoised_part(self, x: Tensor, sigma: Tensor, classes: Tensor) -> Tensor:
        if self.guidance == 1.0:
            return self.network(x, sigma, classes)
        both = (torch.cat(pair) for pair in ((x, x), (sigma, sigma), (0 * classes, classes)))
        none, asked = self.network(*both).chunk(2)
        return none + self.guidance * (asked - none)

    def denoise(self, x: np.ndarray, sigma: float) -> np.ndarray:
        @torch.inference_mode()
        def denoise_part(part: Tensor, classes: Tensor) -> Tensor:
            sigmas = torch.full((len(part),), sigma)
            with torch.autocast("cpu", torch.bfloat16, self.bfloat16):
                return self.denoised_part(part, sigmas, classes)

        batch = torch.from_numpy(x).view(-1, 1, SIZE, SIZE)
        # Parts on a thread each wait less for each other than the threads of a layer do.
        denoised = POOL.map(denoise_part, batch.split(CHUNK), self.classes.split(CHUNK))
        return torch.cat(list(denoised)).view(-1, PIXELS).numpy()

    def score(self, x: np.ndarray, sigma: float) -> np.ndarray:
        return (self.denoise(x, sigma) - x) / np.float32(sigma) ** 2

    def sample(self, name: str, table: str, calls: int, seed: int) -> tuple[np.ndarray, int]:
        """The samples, not clamped, and how many calls there were.

        A table may have a greatest and a least sigma of its own ("karras 14 0.01"); the ODE's is
        its tolerance.
        """
        shape = (len(self.classes), PIXELS)
        if name == "ode":
            config, tolerance = configuration(), float(table)
            codes = vesde.counter_noise(seed, shape=shape) * np.float32(SIGMA_MAX)
            solution = vesde.solve_ode(self.score, codes, config, rtol=tolerance, atol=tolerance)
            sigma_end = SIGMA_MIN * (SIGMA_MAX / SIGMA_MIN) ** config.sampling_eps
            return self.denoise(solution.x, sigma_end), solution.evaluations + 1
        form, *ends = table.split() or [""]
        config = configuration(*map(float, ends))
        return sample(config, self.denoise, shape, name, form, calls, seed, "denoised")


class Judge:
    """The measures, against the test pictures."""

    def __init__(self):
        images, labels = pictures("t10k")
        self.classifier = Classifier.load()
        features, classes = self.classifier.judge(images)
        share = (classes == labels).float().mean()
        print(f"the classifier reads {share:.1%} of the test pictures", flush=True)
        self.scale = 1.0 / features.std().item()  # unit variance over all
        self.features = moments(features.numpy().astype(np.float64) * self.scale)
        self.pixels = moments(images.view(-1, PIXELS).numpy().astype(np.float64))

    def measure(self, samples: np.ndarray, labels: Tensor) -> dict[str, float]:
        samples = np.nan_to_num(samples).clip(0.0, 1.0)
        features, classes = self.classifier.judge(torch.from_numpy(samples).view(-1, 1, SIZE, SIZE))
        features = features.numpy().astype(np.float64) * self.scale
        return {
            "features": frechet(moments(features), self.features),
            "pixels": frechet(moments(samples.astype(np.float64)), self.pixels),
            "read": (classes == labels).double().mean().item(),
        }


def run(results: Path, todo: list[tuple], count: int, bfloat16: bool) -> None:
    """Makes the cells that the file lacks."""
    if {tuple(row["cell"]) for row in read(results)}.issuperset(todo):
        return
    judge = Judge()
    labels = torch.arange(count) % CLASSES
    images, real_labels = pictures("train")

    def measure(cell: tuple) -> dict:
        *what, guidance, seed = cell
        if what[0] == REAL:
            generator = torch.Generator().manual_seed(seed)
            each = count // CLASSES
            drawn = torch.stack([
                part[torch.randperm(len(part), generator=generator)[:each]]
                for part in (torch.nonzero(real_labels == c)[:, 0] for c in range(CLASSES))
            ])  # fmt: skip
            real = images[drawn.T.flatten()].view(-1, PIXELS).numpy()
            return {"calls": 0, **judge.measure(real, labels)}
        # The ODE's solver would see rounding in the error of its steps.
        clothes = Clothes(labels, guidance, bfloat16 and what[0] != "ode")
        samples, calls = clothes.sample(*what, seed)
        return {"calls": calls, **judge.measure(samples, labels)}

    fill(results, todo, measure)


def described(cell: tuple) -> str:
    name, table, _, guidance = cell
    parts = [name, "" if name == "ode" else table]
    parts.append("" if guidance == 1.0 else f"guidance {guidance:g}")
    return ", ".join(part for part in parts if part)


def print_tables(cells: dict) -> None:
    """In Markdown: a row a sampler, a column a number of calls; the ODE's where it is nearest."""
    for name in MEASURES[1:]:
        real = next((number(cell[name]) for key, cell in cells.items() if key[0] == REAL), "?")
        print(f"\n{name} ({REAL}: {real})\n")
        print("| sampler, table |", " | ".join(map(str, COLUMNS)), "|")
        print("|---" * (1 + len(COLUMNS)) + "|")
        for row in dict.fromkeys(described(key) for key in cells if key[0] != REAL):
            texts = {column: "" for column in COLUMNS}
            for key, cell in cells.items():
                if described(key) == row:
                    calls = cell["calls"][0]
                    column = min(COLUMNS, key=lambda c: abs(math.log(c / calls)))
                    told = f" ({calls:.0f} calls)" if key[0] == "ode" else ""
                    texts[column] += "; " * bool(texts[column]) + number(cell[name]) + told
            print(f"| {row} |", " | ".join(texts.values()), "|")


def draw(cells: dict, path: Path) -> None:
    """Both distances against calls, with Karras' table where there is one."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from PIL import Image

    styles = {
        ("2m-sde", 1.0): ("2m-sde", "tab:red", "-", 2.6),
        ("2m-sde", 1.25): ("2m-sde, guidance 1.25", "tab:orange", "-", 1.8),
        ("2m-sde", 1.5): ("2m-sde, guidance 1.5", "goldenrod", "-", 1.2),
        ("2m", 1.0): ("2m", "tab:blue", "-", 2.2),
        ("euler-a", 1.0): ("euler-a", "tab:purple", "-", 1.2),
        ("heun", 1.0): ("heun", "tab:cyan", "-", 1.2),
        ("edm", 1.0): ("edm", "tab:pink", "-", 1.2),
        ("ode", 1.0): ("ode (RK45)", "tab:green", "-", 1.6),
        ("pc", 1.0): ("pc", "black", "-", 2.6),
        ("predictor", 1.0): ("pc's predictor alone", "0.5", "-", 1.2),
    }
    ticks = {"features": (0.2, 0.5, 1, 2, 5, 10, 20), "pixels": (2, 3, 5, 10, 20)}
    figure, axes = pyplot.subplots(1, 2, figsize=(9.6, 5.2), dpi=100)
    for axis, (measure, marks) in zip(axes, ticks.items()):
        for (name, guidance), (label, color, line, width) in styles.items():
            points = sorted(
                (cell["calls"][0], cell[measure][0])
                for key, cell in cells.items()
                if (key[0], key[3]) == (name, guidance) and " " not in key[1]
            )
            if points:
                axis.plot(*zip(*points), line, color=color, linewidth=width, marker="o",
                          markersize=3 + width, label=label)  # fmt: skip
        floor = next((cell[measure][0] for key, cell in cells.items() if key[0] == REAL), None)
        if floor is not None:
            axis.axhline(floor, color="black", linewidth=1, linestyle=":", label=REAL)
        axis.set(xscale="log", yscale="log", title=f"Fréchet distance in {measure}")
        axis.set(xlim=(4.6, 220), ylim=(0.9 * marks[0], 1.2 * marks[-1]))
        axis.set_xticks(COLUMNS, COLUMNS)
        axis.set_yticks(marks, marks)
        axis.minorticks_off()
        axis.grid(color="0.9", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.set_xlabel("calls of the network")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.15, 1, 1))
    figure.savefig(path)
    # Few colours make a small file.
    drawing = Image.open(path).convert("RGB").quantize(255, Image.Quantize.MAXCOVERAGE)
    drawing.save(path, optimize=True)


def nearest(images: Tensor, among: Tensor) -> tuple[Tensor, Tensor]:
    """The distance of each picture to the nearest of the others, and which that is."""
    parts = [torch.cdist(part.flatten(1), among.flatten(1)).min(1) for part in images.split(250)]
    return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])


def compare_neighbours(path: Path, count: int, bfloat16: bool) -> None:
    """Samples and held-out pictures against the training pictures they are nearest to."""
    from PIL import Image, ImageDraw

    training, _ = pictures("train")
    held_out, held_out_labels = pictures("t10k")
    labels = torch.arange(count) % CLASSES
    samples, _ = Clothes(labels, DEFAULT[3], bfloat16).sample(*DEFAULT[:3], DEFAULT[4])
    samples = torch.from_numpy(samples).clamp(0, 1).view(-1, 1, SIZE, SIZE)
    each = count // CLASSES
    held_out = torch.cat([held_out[held_out_labels == c][:each] for c in range(CLASSES)])
    (ours, which), (theirs, _) = nearest(samples, training), nearest(held_out, training)
    print(f"\nDistance to the nearest of {len(training)} training pictures: least, tenth, median\n")
    for what, found in ((f"{count} samples", ours), (f"{len(held_out)} test pictures", theirs)):
        places = torch.tensor([0.0, 0.1, 0.5])
        print(f"  {what:20}", *(f"{q:.2f}" for q in found.quantile(places).tolist()))

    # Of each class the sample that is most like a training picture.
    members = [torch.nonzero(labels == c)[:, 0] for c in range(CLASSES)]
    chosen = torch.stack([part[ours[part].argmin()] for part in members])
    scale, gap, left, top = 3, 6, 96, 16
    side = SIZE * scale
    width, height = left + CLASSES * (side + gap), top + 2 * (side + gap) + top
    sheet = Image.new("L", (width, height), 255)
    pen = ImageDraw.Draw(sheet)
    for row, (title, shown) in enumerate(
        (("sample", samples[chosen]), ("nearest of\ntraining", training[which[chosen]]))
    ):
        y = top + row * (side + gap)
        pen.text((4, y + side // 2 - 12), title, 0)
        for column, image in enumerate(shown):
            pixels = (image[0] * 255).round().byte().numpy()
            tile = Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(tile, (left + column * (side + gap), y))
    pen.text((4, height - top), "distance", 0)
    for column, (name, index) in enumerate(zip(NAMES, chosen.tolist())):
        pen.text((left + column * (side + gap), 2), name, 0)
        pen.text((left + column * (side + gap), height - top), f"{ours[index]:.2f}", 0)
    sheet.quantize(32, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    target = HERE.parent.parent / "target"
    parser.add_argument(
        "--results", type=Path, default=target / "fashion-study.jsonl", help="the cells' file"
    )
    parser.add_argument("--pictures", type=Path, default=HERE, help="folder of the two pictures")
    parser.add_argument("--seeds", type=int, default=2, help="for few calls (default: %(default)s)")
    parser.add_argument("--count", type=int, default=COUNT, help="a cell (default: %(default)s)")
    parser.add_argument(
        "--bfloat16", action="store_true", help="the network's layers, but the ODE's"
    )
    parser.add_argument(
        "--cell", nargs=5, action="append", default=None,
        metavar=("SAMPLER", "TABLE", "CALLS", "GUIDANCE", "SEED"), help="only these cells",
    )  # fmt: skip
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.cell:
        asked = [(n, t, int(calls), float(w), int(seed)) for n, t, calls, w, seed in args.cell]
        run(args.results, asked, args.count, args.bfloat16)
        return
    run(args.results, grid(args.seeds), args.count, args.bfloat16)
    cells_done = summary(args.results, MEASURES)
    print_tables(cells_done)
    draw(cells_done, args.pictures / "study.png")
    compare_neighbours(args.pictures / "neighbours.png", args.count, args.bfloat16)


if __name__ == "__main__":
    main()
