"""Structs and enums beside the library's own record of its ABI, ffi-tests/abi.txt."""

import ctypes
import pathlib
import re
from typing import get_args

import pytest

import vesde
from vesde import abi, samplers

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECORD = (ROOT / "ffi-tests" / "abi.txt").read_text()
STRUCTS = [
    (name, struct)
    for name, struct in vars(abi).items()
    if isinstance(struct, type) and issubclass(struct, ctypes.Structure)
]
# A state's fields are not looked into.
OPAQUE = (abi.Sampler, abi.Ode)


def snake(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


@pytest.mark.parametrize(("name", "struct"), STRUCTS)
def test_structs(name, struct):
    of = f"struct vesde_{snake(name)}: "
    assert f"{of}size {ctypes.sizeof(struct)}, alignment {ctypes.alignment(struct)}\n" in RECORD
    for field in () if struct in OPAQUE else struct._fields_:
        at = getattr(struct, field[0]).offset
        assert re.search(rf"^{of}.*\b{field[0]}(\[.*\])* at {at}$", RECORD, re.MULTILINE), field


@pytest.mark.parametrize(
    "name",
    [
        "Method",
        "Prediction",
        "Predictor",
        "Corrector",
        "Averaging",
        "Norm",
        "Direction",
        "Variable",
        "Result",
    ],
)
def test_enums(name):
    prefix = {
        "Direction": "ODE_DIRECTION", "Variable": "ODE_VARIABLE", "Result": "SAMPLER_RESULT",
    }.get(name, name.upper())  # fmt: skip
    values = get_args(getattr(samplers, name))
    expected = {f"constant VESDE_{prefix}_{v.upper()} = {i}" for i, v in enumerate(values)}
    assert expected == set(
        re.findall(rf"^constant VESDE_{prefix}_(?!BLOCK)[A-Z0-9_]+ = \d+$", RECORD, re.MULTILINE)
    )


def test_version():
    cargo = (ROOT / "Cargo.toml").read_text()
    assert f'\nversion = "{vesde.__version__}"\n' in cargo
