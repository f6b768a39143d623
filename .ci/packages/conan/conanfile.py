"""vesde for Conan 2: built from its sources by its CMake project, which calls cargo."""

import os
import re

from conan import ConanFile
from conan.tools.cmake import CMake, CMakeToolchain, cmake_layout
from conan.tools.files import copy, load

FOLDER = os.path.join(os.path.dirname(__file__), "..", "..", "..")
# What cargo wants to see is among them: examples/fashion is a member of the workspace.
SOURCES = ("Cargo.*", "CMakeLists.txt", "build.rs", "LICENSE-*", "src/*", "include/*", "docs/*")
SOURCES += ("examples/*.rs", "examples/fashion/Cargo.toml", "ffi-tests/*.rs")


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
        manifest = load(self, os.path.join(self.recipe_folder, FOLDER, "Cargo.toml"))
        self.version = re.search(r'^version = "(.*)"', manifest, re.M)[1]

    def export_sources(self):
        for pattern in SOURCES:
            copy(self, pattern, os.path.join(self.recipe_folder, FOLDER), self.export_sources_folder)

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

    def package_info(self):
        self.cpp_info.libs = ["vesde"]
        self.cpp_info.set_property("cmake_file_name", "vesde")
        self.cpp_info.set_property("cmake_target_name", "vesde::vesde")
        self.cpp_info.set_property("pkg_config_name", "vesde")
