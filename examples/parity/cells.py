"""What the studies of quality share: samplers by name, Frechet distances, and cells that a file
keeps.

A cell is a line of JSON. A second run goes on where the first one ended.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

import vesde

# By the names that the examples' programs have for them: calls in a step, and options. Where a step
# has two calls the last has one. pc and its two parts go along the SDE's own table.
SDE: dict[str, tuple[int, dict[str, Any]]] = {
    "pc": (2, {}),
    "predictor": (1, {"corrector": "none"}),
    "corrector": (1, {"predictor": "none", "result": "denoised"}),  # and a call more in the end
}
ALONG_SIGMAS: dict[str, tuple[int, dict[str, Any]]] = {
    "euler": (1, {"method": "euler"}),
    "euler-a": (1, {"method": "euler", "eta": 1.0}),
    "heun": (2, {"method": "heun"}),
    "edm": (
        2,
        {"method": "heun", "s_churn": 40.0, "s_tmin": 0.05, "s_tmax": 50.0, "s_noise": 1.003},
    ),
    "dpm2": (2, {"method": "dpm2"}),
    "2s-a": (2, {"method": "dpmpp2s", "eta": 1.0}),
    "2m": (1, {"method": "dpmpp2m"}),
    "2m-sde": (1, {"method": "dpmpp2m", "eta": 1.0}),
    "2m-sde, eta 0.5": (1, {"method": "dpmpp2m", "eta": 0.5}),
    "3m": (1, {"method": "dpmpp3m"}),
    "3m-sde": (1, {"method": "dpmpp3m", "eta": 1.0}),
    "unipc2": (1, {"method": "unipc2"}),
    "unipc3": (1, {"method": "unipc3"}),
    "lms": (1, {"method": "lms"}),
    "ipndm": (1, {"method": "ipndm"}),
}
SAMPLERS = {**SDE, **ALONG_SIGMAS}


def sample(
    config: vesde.Config,
    network: Callable[[np.ndarray, float], np.ndarray],
    shape: tuple[int, int],
    name: str,
    table: str,
    calls: int,
    seed: int,
    prediction: str = "score",
) -> tuple[np.ndarray, int]:
    """Samples by name, not clamped, and how many calls of the network there were: no more than
    `calls`. It gives the score or the denoised batch, as `prediction` says."""
    count = 0

    def counted(x: np.ndarray, sigma: float) -> np.ndarray:
        nonlocal count
        count += 1
        return network(x, sigma)

    def score(x: np.ndarray, sigma: float) -> np.ndarray:
        given = counted(x, sigma)
        return given if prediction == "score" else (given - x) / np.float32(sigma) ** 2

    per_step, options = SAMPLERS[name]
    if name in SDE:
        steps = (calls - (name == "corrector")) // per_step
        x = vesde.sample_sde(score, shape, steps, config, clamped=False, seed=seed, **options)
    else:
        of = {"karras": vesde.karras_sigmas, "geometric": vesde.geometric_sigmas}[table]
        sigmas = of(-(-calls // per_step), config.sigma_min, config.sigma_max)
        x = vesde.sample(counted, shape, sigmas, prediction=prediction, seed=seed, **options)
    if count > calls:
        raise SystemExit(f"{name} asks for more than {calls} calls")
    return x, count


def moments(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return points.mean(axis=0), np.cov(points, rowvar=False)


def frechet(first: tuple, second: tuple) -> float:
    """Of two normal distributions: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))."""
    (m1, c1), (m2, c2) = first, second
    roots = np.sqrt(np.clip(np.linalg.eigvals(c1 @ c2).real, 0.0, None))
    return float(((m1 - m2) ** 2).sum() + np.trace(c1 + c2) - 2.0 * roots.sum())


def read(results: Path) -> list[dict]:
    return (
        [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    )


def fill(results: Path, cells: Iterable[tuple], measure: Callable[[tuple], dict]) -> None:
    """Adds the cells that the file lacks."""
    done = {tuple(row["cell"]) for row in read(results)}
    with results.open("a") as file:
        for cell in cells:
            if cell not in done:
                row = {"cell": cell, **measure(cell)}
                print(json.dumps(row), file=file, flush=True)
                numbers = (f"{name} {value:.4g}" for name, value in row.items() if name != "cell")
                print(*cell, *numbers, flush=True)


def summary(
    results: Path, measures: Iterable[str]
) -> dict[tuple, dict[str, tuple[float, float, int]]]:
    """By cell, but for its seed, which is the last: each measure's mean, standard deviation and
    number of seeds."""
    cells: dict[tuple, list[dict]] = {}
    for row in read(results):
        cells.setdefault(tuple(row["cell"][:-1]), []).append(row)

    def statistics(values: list[float]) -> tuple[float, float, int]:
        return np.mean(values), np.std(values, ddof=min(1, len(values) - 1)), len(values)

    return {
        cell: {name: statistics([row[name] for row in rows]) for name in measures}
        for cell, rows in cells.items()
    }


def number(statistics: tuple | None) -> str:
    """Three digits of the mean, and the deviation where there is one."""
    if statistics is None:
        return ""
    mean, deviation, count = statistics
    digits = max(0, 3 - max(0, int(np.floor(np.log10(mean))) + 1))  # behind the point
    return f"{mean:.{digits}f}" + (f" ±{deviation:.{digits}f}" if count > 1 else "")
