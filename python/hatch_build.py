"""What packages have besides Python: a wheel the library, which cargo builds, and the licences; a
source distribution what cargo needs. And the address, which Cargo.toml has."""

import os
import pathlib
import platform
import re
import subprocess
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface
from packaging.tags import platform_tags

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE / "rust" if (HERE / "rust").exists() else HERE.parent  # of a source distribution
LIBRARY = {"Darwin": "libvesde.dylib", "Windows": "vesde.dll"}
TO = ROOT / "target" / "python"


class Address(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        found = re.search(r'^repository = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)
        metadata["urls"] = {"Repository": found[1]} if found else {}


class Build(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "sdist":
            for pattern in (ROOT / ".ci" / "packages" / "sources").read_text().split():
                for path in ROOT.glob(pattern):
                    build_data["force_include"][str(path)] = f"rust/{path.relative_to(ROOT)}"
            return
        build = "cargo rustc --lib --profile c --features capi --crate-type cdylib --locked"
        command = [*build.split(), "--target-dir", str(TO), "--", "--cfg", "vesde_staticlib"]
        try:
            subprocess.run(command, cwd=ROOT, check=True)
        except FileNotFoundError:
            raise SystemExit("vesde is built by Rust's cargo: https://rustup.rs") from None
        name = LIBRARY.get(platform.system(), "libvesde.so")
        build_data["force_include"][str(TO / "c" / name)] = f"vesde/{name}"
        licences = f"vesde-{self.metadata.version}.dist-info/licenses"
        # build.sh adds those of linked crates, for copies that others get.
        made = pathlib.Path(os.environ.get("VESDE_WHEEL_LICENSES", ROOT))
        for licence in made.glob("LICENSE-*"):
            build_data["force_include"][str(licence)] = f"{licences}/{licence.name}"
        # build.sh names an older system, and checks it. No version of Python matters.
        of = os.environ.get("VESDE_WHEEL_PLATFORM") or next(iter(platform_tags()))
        build_data.update(pure_python=False, tag=f"py3-none-{of}")
