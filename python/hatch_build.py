"""What a wheel has besides Python: the library, which cargo builds, and the licences."""

import os
import pathlib
import platform
import subprocess
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import platform_tags

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIBRARY = {"Darwin": "libvesde.dylib", "Windows": "vesde.dll"}
TO = ROOT / "target" / "python"


class Build(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        build = "cargo rustc --lib --profile c --features capi --crate-type cdylib --locked"
        command = [*build.split(), "--target-dir", str(TO), "--", "--cfg", "vesde_staticlib"]
        try:
            subprocess.run(command, cwd=ROOT, check=True)
        except FileNotFoundError:
            raise SystemExit("vesde is built by Rust's cargo: https://rustup.rs") from None
        name = LIBRARY.get(platform.system(), "libvesde.so")
        build_data["force_include"][str(TO / "c" / name)] = f"vesde/{name}"
        licences = f"vesde-{self.metadata.version}.dist-info/licenses"
        # build.sh has those of linked crates made, for copies that others get.
        made = ROOT / "target" / "wheel" / "licenses"
        for licence in (made if made.is_dir() else ROOT).glob("LICENSE-*"):
            build_data["force_include"][str(licence)] = f"{licences}/{licence.name}"
        # build.sh names an older system, and checks it. No version of Python matters.
        of = os.environ.get("VESDE_WHEEL_PLATFORM") or next(iter(platform_tags()))
        build_data.update(pure_python=False, tag=f"py3-none-{of}")
