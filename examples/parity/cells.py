"""What the studies of quality share: Frechet distances, and cells that a file keeps.

A cell is a line of JSON. A second run goes on where the first one ended.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np


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
