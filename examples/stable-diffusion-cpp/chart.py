#!/usr/bin/env python3
"""Draws README.md's table of times as times.svg: how many times as fast on vesde."""

import pathlib

FOLDER = pathlib.Path(__file__).resolve().parent
COLUMN, ROW, BARS, LABELS = "4×128×128", 18, 300, 180

lines = (FOLDER / "README.md").read_text().splitlines()
rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]
head = next(i for i, row in enumerate(rows) if COLUMN in row)
at = rows[head].index(COLUMN)
times = [(row[0], float(row[at].split(" = ")[1])) for row in rows[head + 1 :] if " = " in row[-1]]
longest = max(value for _, value in times)

lines = [f"<text x='4' y='14'>How many times as fast on vesde: {COLUMN}, without the network</text>"]
for i, (name, value) in enumerate(times):
    y, width = (i + 1) * ROW + 6, BARS * value / longest
    lines.append(f"<text x='{LABELS - 6}' y='{y + 13}' text-anchor='end'>{name}</text>")
    lines.append(f"<rect x='{LABELS}' y='{y + 2}' width='{width:.0f}' height='{ROW - 4}' fill='#47a'/>")
    lines.append(f"<text x='{LABELS + width + 5:.0f}' y='{y + 13}'>{value:g}</text>")
size = f"0 0 {LABELS + BARS + 40} {(len(times) + 1) * ROW + 12}"
(FOLDER / "times.svg").write_text(
    f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='{size}' font-family='sans-serif' font-size='13'>\n"
    "<rect width='100%' height='100%' fill='white'/>\n" + "\n".join(lines) + "\n</svg>\n"
)
