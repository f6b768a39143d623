"""vesde for Conan 2: built from its sources by its CMake project, which calls cargo."""

import os
import pathlib
import re
import shutil

from conan import ConanFile
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy, rmdir

ROOT = pathlib.Path(__file__).parents[3]


class Vesde(ConanFile):
    name = "vesde"
    license = "MIT OR Apache-2.0"
    description = "Samplers and torch's noise for score-based generative models"
    topics = ("diffusion", "sampler", "random")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "fPIC": [True, False]}
    default_options = {"shared": False, "fPIC": True}
    implements = ["auto_shared_fpic"]
    languages = "C"

    def set_version(self):
        manifest = (ROOT / "Cargo.toml").read_text()
        self.version = re.search(r'^version = "(.*)"', manifest, re.M)[1]

    def export_sources(self):  # Conan's copy() would walk through target/ for each pattern
        # What cargo wants to see is among them: examples/fashion is a member of the workspace.
        for pattern in (ROOT / ".ci" / "packages" / "sources").read_text().split():
            for path in ROOT.glob(pattern):
                to = pathlib.Path(self.export_sources_folder, path.relative_to(ROOT))
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, to)

    def layout(self):
        cmake_layout(self)

    def generate(self):
        CMakeToolchain(self).generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def package(self):
        CMake(self).install()
        copy(self, "LICENSE-*", self.source_folder, os.path.join(self.package_folder, "licenses"))
        # Conan writes its own.
        for folder in ("lib/cmake", "lib/pkgconfig", "share"):
            rmdir(self, os.path.join(self.package_folder, folder))

    def package_info(self):
        self.cpp_info.libs = ["vesde"]
        self.cpp_info.set_property("cmake_file_name", "vesde")
        self.cpp_info.set_property("cmake_target_name", "vesde::vesde")
        self.cpp_info.set_property("pkg_config_name", "vesde")
