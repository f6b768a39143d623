"""Curves of quality against calls of the network, for all samplers of the library on the digits.

Each cell is a sampler, a table of sigmas, a number of calls and a seed: as many digits of each
class as real ones, three times. Samplers run in the library, by ctypes; the network in torch.
Measured against all 1,797 real digits:

  FD      Frechet distance in 48 features of a small convolutional classifier that is trained here,
          the mean over the classes: of the samples clamped to 0..1, as pictures are, and raw
  SWD     sliced Wasserstein-2 distance of the pixels, over the classes, clamped
  SVM     the share that check.py's support vector machine reads as the class that was asked for
  spread  the mean distance between two digits of a class

Cells are kept in a file, line by line: a second run goes on where the first one ended. In the end
it prints tables, mean and standard deviation over the seeds, and draws the curves.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.svm import SVC

from check import split_digits, spread
from network import CLASSES, PIXELS, ScoreNetwork

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "parity"))
import vesde  # noqa: E402
from cells import SAMPLERS, fill, frechet, moments, number, read, sample, summary  # noqa: E402

TIMES = 3  # as many samples as real digits, times this
CHUNK = 512  # samples that go through the network at once: they stay in the cache
FEATURES, DIRECTIONS = 48, 256
NAMES = [name for name in SAMPLERS if name not in ("predictor", "corrector")]
REAL = ("real digits, drawn anew", "", 0, 0)
MEASURES = ("clamped", "raw", "SWD", "SVM", "spread")
LIMITS = {"clamped": (0.37, 5.0), "raw": (0.18, 5.0)}  # of the curves
FEW, MANY = (5, 8, 10, 20), (50, 100, 200)


def grid(seeds: int) -> list[tuple]:
    """All cells, seed by seed: both tables for few calls, and one for many."""
    rows = [("pc", "geometric", calls) for calls in (*FEW[1:], *MANY)]  # the SDE's own table
    for name in (name for name in NAMES if name != "pc"):
        rows += [(name, table, calls) for table in ("geometric", "karras") for calls in FEW]
        rows += [(name, "karras", calls) for calls in MANY[: 2 if name.startswith("2m") else 1]]
    return [(*cell, seed) for seed in range(seeds) for cell in rows]


class Job:
    """Sampling with a network, one label a sample."""

    def __init__(self, labels: np.ndarray):
        self.labels = labels
        self.network = ScoreNetwork.load(HERE / "weights.safetensors")
        self.one_hot = torch.eye(CLASSES)[torch.from_numpy(labels)]
        self.config = vesde.Config.from_json((HERE / "scheduler_config.json").read_bytes())

    def score(self, x: np.ndarray, sigma: float) -> np.ndarray:
        parts = zip(torch.from_numpy(x).split(CHUNK), self.one_hot.split(CHUNK))
        scores = (
            self.network.score(part, torch.full((len(part), 1), sigma), one_hot)
            for part, one_hot in parts
        )
        return torch.cat(list(scores)).numpy()

    def sample(self, name: str, table: str, calls: int, seed: int) -> tuple[np.ndarray, int]:
        """The samples, not clamped, and how many calls there were."""
        shape = (len(self.labels), PIXELS)
        return sample(self.config, self.score, shape, name, table, calls, seed)


class Classifier(torch.nn.Module):
    """A small convolutional network, whose last layer but one gives the features."""

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
            torch.nn.Conv2d(16, 32, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(),
            torch.nn.Linear(32 * 16, FEATURES), torch.nn.ReLU(),
        )  # fmt: skip
        self.head = torch.nn.Linear(FEATURES, CLASSES)

    @classmethod
    def trained(cls, images: np.ndarray, labels: np.ndarray) -> "Classifier":
        """Trained with noise and shifts of a pixel, from a fixed seed."""
        torch.manual_seed(0)
        model, x, y = cls(), as_images(images), torch.from_numpy(labels)
        optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
        for _ in range(1000):
            pick = torch.randint(len(x), (128,))
            shift = torch.randint(-1, 2, (2,)).tolist()
            batch = torch.roll(x[pick], shift, (2, 3)) + 0.1 * torch.randn(128, 1, 8, 8)
            loss = torch.nn.functional.cross_entropy(model.head(model.body(batch)), y[pick])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return model.eval()

    @torch.no_grad()
    def features(self, images: np.ndarray) -> np.ndarray:
        return self.body(as_images(images)).numpy().astype(np.float64)


def as_images(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.astype(np.float32)).reshape(-1, 1, 8, 8)


class Judge:
    """The measures, against all real digits."""

    def __init__(self):
        train, test, train_labels, test_labels = split_digits()
        self.real, self.real_labels = load_digits(return_X_y=True)
        self.real = self.real / 16.0
        self.classifier = Classifier.trained(train, train_labels)
        read = self.classifier.head(
            torch.from_numpy(self.classifier.features(test)).float()
        ).argmax(dim=1)
        print(
            f"the classifier reads {(read.numpy() == test_labels).mean():.1%} of held-out digits",
            flush=True,
        )
        self.svm = SVC(C=10.0).fit(train, train_labels)
        features = self.classifier.features(self.real)
        self.scale = 1.0 / features.std()  # unit variance over all
        self.moments = [
            moments(features[self.real_labels == c] * self.scale) for c in range(CLASSES)
        ]
        rng = np.random.default_rng(0)
        directions = rng.standard_normal((PIXELS, DIRECTIONS))
        self.directions = directions / np.linalg.norm(directions, axis=0)

    def distance(self, samples: np.ndarray, labels: np.ndarray) -> float:
        features = self.classifier.features(samples) * self.scale
        pairs = ((moments(features[labels == c]), self.moments[c]) for c in range(CLASSES))
        return float(np.mean([frechet(*pair) for pair in pairs]))

    def sliced(self, samples: np.ndarray, labels: np.ndarray) -> float:
        """The samples of a class are a multiple of its real digits: all of them are matched."""
        means = []
        for c in range(CLASSES):
            ours, real = samples[labels == c], self.real[self.real_labels == c]
            real = np.repeat(
                np.sort(real @ self.directions, axis=0), len(ours) // len(real), axis=0
            )
            means.append(((np.sort(ours @ self.directions, axis=0) - real) ** 2).mean(axis=0))
        return float(np.sqrt(np.mean(means, axis=0)).mean())

    def measure(self, samples: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        samples = np.nan_to_num(samples.astype(np.float64), posinf=1e6, neginf=-1e6)
        clamped = samples.clip(0.0, 1.0)
        once = slice(0, len(self.real))  # enough for these two
        return {
            "clamped": self.distance(clamped, labels),
            "raw": self.distance(samples, labels),
            "SWD": self.sliced(clamped, labels),
            "SVM": float((self.svm.predict(clamped[once]) == labels[once]).mean()),
            "spread": spread(clamped[once], labels[once]),
        }


def run(results: Path, seeds: int, samplers: list[str]) -> None:
    """Makes the cells that the file lacks."""
    todo = [REAL, *(cell for cell in grid(seeds) if cell[0] in samplers)]
    if {tuple(row["cell"]) for row in read(results)}.issuperset(todo):
        return
    judge = Judge()
    job = Job(np.tile(judge.real_labels, TIMES))

    def measure(cell: tuple) -> dict:
        if cell == REAL:
            rng = np.random.default_rng(1)
            members = [np.flatnonzero(judge.real_labels == c) for c in range(CLASSES)]
            drawn = np.array([rng.choice(members[c]) for c in job.labels])
            return judge.measure(judge.real[drawn], job.labels)
        samples, calls = job.sample(*cell)
        return {"calls": calls, **judge.measure(samples, job.labels)}

    fill(results, todo, measure)


def print_tables(cells: dict) -> None:
    """In Markdown, a row a sampler and table and a column a number of calls."""
    columns = sorted({calls for _, _, calls in cells if calls > 0})
    for name in MEASURES:
        real = next((cell[name][0] for key, cell in cells.items() if key[2] == 0), float("nan"))
        print(f"\n{name} (real digits, drawn anew: {real:.3g})\n")
        print("| sampler, table |", " | ".join(map(str, columns)), "|")
        print("|---" * (1 + len(columns)) + "|")
        for sampler, table in dict.fromkeys(key[:2] for key in cells if key[2] > 0):
            texts = (number(cells.get((sampler, table, calls), {}).get(name)) for calls in columns)
            print(f"| {sampler}, {table} |", " | ".join(texts), "|")


def draw(cells: dict, path: Path) -> None:
    """FD against calls, clamped and raw: Karras' table, and geometric that of pc."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from PIL import Image

    figure, axes = pyplot.subplots(1, 2, figsize=(9.6, 5.4), dpi=100)
    palette = pyplot.get_cmap("tab20").colors
    names = sorted(
        (name for name in NAMES if name != "pc"), key=lambda name: not name.startswith("2m")
    )
    colors = dict(
        zip(names, (palette[6], palette[0], *palette[2:6:2], *palette[8::2], *palette[1::2]))
    )
    titles = {"clamped": "samples clamped to 0..1, as pictures", "raw": "samples as they are"}
    for axis, (measure, title) in zip(axes, titles.items()):
        for name in NAMES:
            table = "geometric" if name == "pc" else "karras"
            points = sorted(
                (key[2], *cell[measure][:2])
                for key, cell in cells.items()
                if key[:2] == (name, table)
            )
            if not points:
                continue
            calls, means, deviations = map(np.array, zip(*points))
            is_plain = set(SAMPLERS[name][1]) == {"method"}
            style = {"color": colors.get(name, "black"), "linestyle": "--" if is_plain else "-"}
            width = 2.6 if name in ("pc", "2m-sde", "2m") else 1.2
            axis.plot(
                calls, means, label=name, linewidth=width, marker="o", markersize=2 + width, **style
            )
            axis.fill_between(
                calls,
                means - deviations,
                means + deviations,
                color=style["color"],
                alpha=0.2,
                linewidth=0,
            )
        if ("pc", "geometric", 100) in cells:
            axis.axhline(
                cells["pc", "geometric", 100][measure][0],
                color="black",
                linewidth=0.8,
                linestyle=":",
            )
        axis.set(xscale="log", yscale="log", ylim=LIMITS[measure], xlim=(4.6, 220), title=title)
        axis.set_xticks([5, 8, 10, 20, 50, 100, 200], [5, 8, 10, 20, 50, 100, 200])
        ticks = [
            tick for tick in (0.2, 0.3, 0.4, 0.5, 0.7, 1, 2, 3, 5) if LIMITS[measure][0] <= tick
        ]
        axis.set_yticks(ticks, ticks)
        axis.minorticks_off()
        axis.grid(color="0.9", linewidth=0.6)
        axis.set_axisbelow(True)
        axis.set_xlabel("calls of the network")
    axes[0].set_ylabel("Frechet distance to real digits")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncols=8, frameon=False, fontsize=8)
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    figure.savefig(path)
    # Few colours make a small file.
    Image.open(path).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(
        path, optimize=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    target = HERE.parent.parent / "target"
    parser.add_argument(
        "--results", type=Path, default=target / "digits-study.jsonl", help="the cells' file"
    )
    parser.add_argument(
        "--picture", type=Path, default=target / "digits-study.png", help="the curves"
    )
    parser.add_argument("--seeds", type=int, default=5, help="seeds (default: %(default)s)")
    parser.add_argument(
        "--samplers",
        nargs="+",
        choices=NAMES,
        default=list(NAMES),
        metavar="NAME",
        help="only these",
    )
    parser.add_argument(
        "--threads", type=int, default=1, help="threads of torch (default: %(default)s)"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    run(args.results, args.seeds, args.samplers)
    cells_done = summary(args.results, MEASURES)
    print_tables(cells_done)
    draw(cells_done, args.picture)


if __name__ == "__main__":
    main()
