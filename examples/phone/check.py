#!/usr/bin/env python3
"""Reads the packages back as Xcode, SwiftPM and Gradle's Prefab do: check.py ios|android.

Everything that they look up must be there and be what it says it is. Then the check itself is
tried: on copies in which one file or key is missing or wrong it must fail. Needs clang-22, lld-22,
llvm-22, libplist-utils.
"""

import functools
import hashlib
import json
import plistlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
import zipfile
from pathlib import Path

PHONE = Path(__file__).resolve().parents[2] / "target/phone"
SELF_CONTAINED = re.compile(r"mem(cpy|move|set|cmp)|memset_pattern16|_*bzero|__aeabi_mem\w+")


class Broken(Exception):
    """What is wrong with a package."""


def need(condition, text):
    if not condition:
        raise Broken(text)


def say(*command):
    result = subprocess.run(command, capture_output=True, text=True)
    need(result.returncode == 0, f"{' '.join(map(str, command))}: {result.stderr}")
    return result.stdout


def once(read):
    """Calls `read(path, ...)` once for the same bytes: the copies have most files in common."""

    @functools.cache
    def cached(digest, *arguments):
        try:
            return read(paths[digest], *arguments)
        except Broken as broken:  # an exception is not kept by a cache, so it is an answer
            return broken

    paths = {}

    def called(path, *arguments):
        need(path.is_file(), f"there is no {path.name} in {path.parent.name}")
        digest = hashlib.sha256(path.read_bytes()).digest()
        paths[digest] = path
        answer = cached(digest, *arguments)
        if isinstance(answer, Broken):
            raise answer
        return answer

    return called


def functions(header):
    """The functions that a library of this header has: all but those that are inline."""
    need(header.is_file(), f"there is no {header.name}")
    lines = (
        line for line in header.read_text().splitlines() if not line.startswith("static inline")
    )
    found = set(re.findall(r"\b(vesde_[a-z0-9_]+)\(", "\n".join(lines)))
    need(len(found) > 60, "the header has no functions")
    return found


def licensed(folder):
    """A licence is vesde's own, or a part's that has neither of these: libm's names its authors."""
    texts = {"LICENSE-APACHE": "Apache License", "LICENSE-MIT": "MIT", "LICENSE-libm": "Rich Felker"}
    for name, text in texts.items():
        path = folder / name
        need(path.is_file() and text in path.read_text(), f"{name} is missing")


def symbols(kind, path, *options):
    lines = say("llvm-nm-22", f"--{kind}", "--format=just-symbols", *options, path).splitlines()
    return {line for line in lines if line and not line.endswith(":")}


def keys(what, value, required):
    need(
        isinstance(value, dict) and value.keys() == set(required),
        f"the keys of {what} are not {required}",
    )


# ---- Xcode's ----

# For each platform what its objects say that they are for, in a load command, with the processor;
# and the linker's and the compiler's names of it.
PLATFORMS = {
    ("ios", None): ({("LC_VERSION_MIN_IPHONEOS", "arm64"), ("ios", "arm64")}, "ios", "ios14"),
    ("ios", "simulator"): (
        {
            ("LC_VERSION_MIN_IPHONEOS", "x86_64"),
            ("iossimulator", "x86_64"),
            ("iossimulator", "arm64"),
        },
        "ios-simulator",
        "ios14-simulator",
    ),
    ("macos", None): (
        {("LC_VERSION_MIN_MACOSX", "x86_64"), ("macos", "x86_64"), ("macos", "arm64")},
        "macos",
        "macos14",
    ),
}


@once
def mach_o(library, architecture, platform):
    """What one architecture of a slice is for and exports; lld, a linker like Apple's, takes it."""
    kinds, system, _ = PLATFORMS[platform]
    commands = say(
        "llvm-objdump-22", "--macho", f"--arch={architecture}", "--private-headers", library
    )
    found = re.findall(r"cmd (LC_VERSION_MIN_\w+)\n *cmdsize \d+\n *version ([\d.]+)", commands)
    found += re.findall(
        r"cmd LC_BUILD_VERSION\n *cmdsize \d+\n *platform (\w+)\n *sdk \S+\n *minos ([\d.]+)",
        commands,
    )
    need(len(found) == 1, f"{architecture} is for {found}")
    kind, oldest = found[0]
    need((kind, architecture) in kinds, f"{architecture} is for {kind}, not {platform}")
    exported = {
        name.removeprefix("_")
        for name in symbols("defined-only", library, "--extern-only", f"--arch={architecture}")
    }
    undefined = {
        name.removeprefix("_")
        for name in symbols("undefined-only", library, f"--arch={architecture}")
    }
    others = {name for name in undefined if not SELF_CONTAINED.fullmatch(name)}
    need(not others, f"{architecture} needs {others}")
    with tempfile.TemporaryDirectory() as folder:
        linker = f"ld64.lld-22 -arch {architecture} -platform_version {system} 14.0 14.0 -dylib"
        linker += " -all_load -undefined dynamic_lookup -fatal_warnings"
        say(*linker.split(), "-o", f"{folder}/all", library)
    return exported, f"{architecture} from {oldest} on"


@once
def module(module_map, header, platform, architecture):
    """An import, as Objective-C's compiler does it; `header`, a digest, is for @once alone."""
    del header
    main = "int main(void) { vesde_config c; return vesde_config_default(&c) == VESDE_OK; }"
    compiler = "clang-22 -fsyntax-only -Werror -nostdlibinc -fmodules -target"
    target = f"{architecture}-apple-{PLATFORMS[platform][2]}"
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "user.m")
        program.write_text(f"@import vesde;\n{main}\n")
        cache = f"-fmodules-cache-path={folder}/cache"
        say(*compiler.split(), target, cache, "-I", module_map.parents[1], program)


@once
def plist(path):
    """A property list, of which two readers say the same."""
    result = subprocess.run(["plistutil", "-i", path, "-f", "bin", "-o", "-"], capture_output=True)
    need(result.returncode == 0 and result.stdout, "plistutil does not read Info.plist")
    value = plistlib.loads(path.read_bytes())
    need(plistlib.loads(result.stdout) == value, "plistutil reads another Info.plist")
    return value


def xcframework(folder):
    info = plist(folder / "Info.plist")
    keys(
        "Info.plist",
        info,
        ["AvailableLibraries", "CFBundlePackageType", "XCFrameworkFormatVersion"],
    )
    licensed(folder)
    need(info["CFBundlePackageType"] == "XFWK", "the package is no framework")
    need(info["XCFrameworkFormatVersion"] == "1.0", "the format is unknown")
    lines, platforms = [], set()
    for entry in info["AvailableLibraries"]:
        required = "BinaryPath HeadersPath LibraryIdentifier LibraryPath".split()
        required += ["SupportedArchitectures", "SupportedPlatform"]
        if "-simulator" in entry.get("LibraryIdentifier", ""):
            required.append("SupportedPlatformVariant")
        keys("a library", entry, required)
        platform = entry["SupportedPlatform"], entry.get("SupportedPlatformVariant")
        name = entry["LibraryIdentifier"]
        architectures = sorted(entry["SupportedArchitectures"])
        need(platform in PLATFORMS, f"{name} is for {platform}")
        need(
            set(architectures) == {known for _, known in PLATFORMS[platform][0]},
            f"{name} is for {architectures}",
        )
        need(
            name == "-".join(filter(None, (platform[0], "_".join(architectures), platform[1]))),
            f"{name} is not the name of {platform}, {architectures}",
        )
        platforms.add(platform)

        library = folder / name / entry["LibraryPath"]
        need(library.is_file(), f"{name} has no {entry['LibraryPath']}")
        need(entry["BinaryPath"] == entry["LibraryPath"], f"{name} has two libraries")
        headers = folder / name / entry["HeadersPath"]
        module_map = headers / "vesde/module.modulemap"
        need(module_map.is_file(), f"{name} has no module map")
        named = re.findall(r'header "(.*)"', module_map.read_text())
        need(named == ["vesde.h"], f"the module map of {name} has the headers {named}")
        need((headers / "vesde/vesde.hpp").is_file(), f"{name} has no vesde.hpp")
        wanted = functions(headers / "vesde/vesde.h")
        try:
            said = say("llvm-lipo-22", "-archs", library).split()
            need(sorted(said) == architectures, f"the library is for {said}")
            parts = []
            for architecture in architectures:
                exported, text = mach_o(library, architecture, platform)
                need(exported == wanted, f"{architecture} does not export the header's functions")
                digest = hashlib.sha256((headers / "vesde/vesde.h").read_bytes()).digest()
                module(module_map, digest, platform, architecture)
                parts.append(text)
        except Broken as broken:
            raise Broken(f"{name}: {broken}")
        lines.append(
            f"{name}: {library.stat().st_size} bytes, {', '.join(parts)}, imported and linked"
        )
    need(platforms == PLATFORMS.keys(), f"there are slices for {platforms}")
    return lines


def swift_package(archive):
    """SwiftPM's: the checksum of what is at the address, and the framework at the archive's top."""
    text = (PHONE / "Package.swift").read_text()
    url, checksum = re.search(r'url: "(.*)",\s*checksum: "([0-9a-f]{64})"', text).groups()
    need(url.endswith("/" + archive.name), "Package.swift has another archive's address")
    need(
        checksum == hashlib.sha256(archive.read_bytes()).hexdigest(),
        "the checksum is another archive's",
    )
    with zipfile.ZipFile(archive) as packed:
        need(
            {name.split("/")[0] for name in packed.namelist()} == {"vesde.xcframework"},
            "what is packed?",
        )


# ---- Android's ----

# The ELF machine and class of an ABI.
ABIS = {
    "arm64-v8a": ("EM_AARCH64", "64-bit"),
    "armeabi-v7a": ("EM_ARM", "32-bit"),
    "x86_64": ("EM_X86_64", "64-bit"),
    "x86": ("EM_386", "32-bit"),
}
PAGE = 16384


def read_elf(path, *options):
    return say("llvm-readobj-22", "--file-headers", *options, path)


@once
def shared(path, abi):
    """An app's: for this processor, for pages of 16 KB, nothing in or out but what is said."""
    text = read_elf(path, "--program-headers", "--dynamic-table")
    need(
        ABIS[abi] == (re.search(r"Machine: (\w+)", text)[1], re.search(r"Class: (\S+)", text)[1]),
        "it is for another processor",
    )
    need(
        re.findall(r"SONAME +Library soname: \[(.*)\]", text) == ["libvesde.so"],
        "its name is not libvesde.so",
    )
    needed = re.findall(r"NEEDED +Shared library: \[(.*)\]", text)
    need(set(needed) <= {"libc.so"}, f"it needs {needed}")
    need("TEXTREL" not in text, "its code would be changed when it is loaded")
    need(re.search(r"0x\w+ +HASH ", text), "Android before 6 finds no function in it")
    need(
        re.search(r"Type: PT_GNU_STACK .*\n(?: +\w+: .*\n)* +Flags \[ \(0x6\)", text),
        "its stack would be executable",
    )
    fields = re.findall(
        r"Type: (\w+) .*\n +Offset: (\w+)\n +VirtualAddress: (\w+)\n +PhysicalAddress: \w+\n"
        r" +FileSize: \w+\n +MemSize: (\w+)\n(?:.*\n)*? +Alignment: (\w+)\n",
        text,
    )
    segments = [(kind, *(int(number, 0) for number in numbers)) for kind, *numbers in fields]
    need(sum(kind == "PT_LOAD" for kind, *_ in segments) >= 2, "nothing is loaded")
    for kind, offset, address, size, alignment in segments:
        if kind == "PT_LOAD":
            need(
                alignment == PAGE and offset % PAGE == address % PAGE,
                f"a segment is aligned to {alignment}",
            )
        if kind == "PT_GNU_RELRO":
            need(
                (address + size) % PAGE == 0,
                "what becomes read-only shares a page with what does not",
            )
    undefined = symbols("undefined-only", path, "--dynamic")
    others = {name for name in undefined if not SELF_CONTAINED.fullmatch(name)}
    need(not others, f"it needs {others}")
    return symbols("defined-only", path, "--dynamic", "--extern-only")


@once
def static(path, abi):
    text = read_elf(path)
    need(
        {ABIS[abi]}
        == set(zip(re.findall(r"Machine: (\w+)", text), re.findall(r"Class: (\S+)", text))),
        "it is for another processor",
    )
    return symbols("defined-only", path, "--extern-only")


def read_json(path, required):
    need(path.is_file(), f"there is no {path.name}")
    try:
        value = json.loads(path.read_text())
    except ValueError as error:
        raise Broken(f"{path.name}: {error}")
    keys(path.name, value, required)
    return value


def aar(folder):
    try:
        manifest = xml.etree.ElementTree.parse(folder / "AndroidManifest.xml").getroot()
    except (OSError, xml.etree.ElementTree.ParseError) as error:
        raise Broken(f"AndroidManifest.xml: {error}")
    need(
        re.fullmatch(r"[a-z]\w*(\.[a-z]\w*)+", manifest.get("package", "")),
        "the manifest names no package",
    )
    licensed(folder / "META-INF")
    sdk = manifest.find("uses-sdk")
    need(sdk is not None, "the manifest has no SDK")
    oldest = sdk.get("{http://schemas.android.com/apk/res/android}minSdkVersion")
    prefab = folder / "prefab"
    package = read_json(
        prefab / "prefab.json", ["schema_version", "name", "version", "dependencies"]
    )
    need(
        package["schema_version"] == 2
        and package["name"] == "vesde"
        and package["dependencies"] == [],
        "prefab.json is another package's",
    )
    need(re.fullmatch(r"\d+(\.\d+)*", package["version"]), "CMake does not know such versions")
    need(
        {path.name for path in (prefab / "modules").iterdir()} == {"vesde", "vesde_static"},
        "a module is missing",
    )
    lines = []
    for path in sorted((prefab / "modules").iterdir()):
        described = read_json(path / "module.json", ["export_libraries", "library_name", "android"])
        keys("android", described["android"], ["export_libraries", "library_name"])
        need(
            described["export_libraries"] == [] and not any(described["android"].values()),
            "it exports others",
        )
        need((path / "include/vesde.hpp").is_file(), "there is no vesde.hpp")
        wanted = functions(path / "include/vesde.h")
        libraries = path / "libs"
        need(
            libraries.is_dir()
            and {library.name for library in libraries.iterdir()}
            == {f"android.{abi}" for abi in ABIS},
            f"{path.name}: an ABI is missing",
        )
        sizes = []
        for abi in ABIS:
            try:
                library = libraries / f"android.{abi}"
                about = read_json(library / "abi.json", ["abi", "api", "ndk", "stl", "static"])
                need(
                    about["abi"] == abi and about["stl"] == "none" and type(about["ndk"]) is int,
                    "abi.json is for something else",
                )
                need(
                    str(about["api"]) == oldest, "abi.json and the manifest are for other versions"
                )
                is_static = path.name == "vesde_static"
                need(about["static"] is is_static, "the kind of library is wrong")
                file = library / (described["library_name"] + (".a" if is_static else ".so"))
                need(
                    [other.name for other in library.iterdir() if other.name != "abi.json"]
                    == [file.name],
                    f"there is no {file.name}, or more than that",
                )
                need(
                    (static if is_static else shared)(file, abi) == wanted,
                    "it does not export the header's functions",
                )
            except Broken as broken:
                raise Broken(f"{path.name} for {abi}: {broken}")
            sizes.append(f"{abi} {file.stat().st_size}")
        lines.append(f"{path.name}: {', '.join(sizes)} bytes")
    return lines


# ---- the check is tried ----


def format_of(path):
    """How a file is read and written, where it holds keys."""
    return {
        ".plist": (plistlib.loads, plistlib.dumps),
        ".json": (json.loads, lambda value: json.dumps(value).encode()),
    }.get(path.suffix)


def edit(path, change):
    def apply(folder):
        read, write = format_of(path)
        value = read((folder / path).read_bytes())
        change(value)
        (folder / path).write_bytes(write(value))

    return apply


def without_each_key(path, value, at=()):
    """Every key and element of a value, however deep, as (name, what removes it)."""
    items = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        items = enumerate(value)
    for key, below in items:

        def remove(whole, key=key):
            for step in at:
                whole = whole[step]
            del whole[key]

        yield f"{path} without {'/'.join(map(str, (*at, key)))}", edit(path, remove)
        yield from without_each_key(path, below, (*at, key))


def faults(folder):
    files = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    libraries = [path for path in files if path.suffix in (".a", ".so")]
    for path in files:
        yield f"without {path}", lambda copy, path=path: (copy / path).unlink()
        if format_of(path):
            value = format_of(path)[0]((folder / path).read_bytes())
            yield from without_each_key(path, value)
    for first, second in zip(libraries, libraries[1:] + libraries[:1]):
        yield f"{second} as {first}", lambda copy, first=first, second=second: shutil.copyfile(
            folder / second, copy / first
        )
    for path in libraries:
        if path.suffix == ".so":
            yield f"{path} with pages of 4 KB", lambda copy, path=path: small_pages(copy / path)
            yield f"{path} with a stack of code", lambda copy, path=path: stack_of_code(copy / path)


def edit_segments(path, kind, change):
    """Calls change(ELF, header, its end, a word's size) for the segments of a kind."""
    elf = bytearray(path.read_bytes())
    word, at, size = (8, 32, 54) if elf[4] == 2 else (4, 28, 42)
    start = int.from_bytes(elf[at : at + word], "little")
    size, count = (int.from_bytes(elf[n : n + 2], "little") for n in (size, size + 2))
    for header in range(start, start + count * size, size):
        if int.from_bytes(elf[header : header + 4], "little") == kind:
            change(elf, header, header + size, word)
    path.write_bytes(elf)


def small_pages(path):
    """Writes 4096 into the alignment of every segment to be loaded."""

    def change(elf, header, end, word):
        elf[end - word : end] = (4096).to_bytes(word, "little")

    edit_segments(path, 1, change)


def stack_of_code(path):
    """Sets the bit of the stack's flags that makes it executable."""

    def change(elf, header, end, word):
        elf[header + 4 if word == 8 else header + 24] |= 1

    edit_segments(path, 0x6474E551, change)


def tried(check, folder):
    count = 0
    for name, fault in faults(folder):
        with tempfile.TemporaryDirectory(dir=PHONE) as copy:
            copy = Path(copy, folder.name)
            shutil.copytree(folder, copy)
            fault(copy)
            try:
                check(copy)
            except Broken:
                count += 1
            else:
                raise SystemExit(f"phone: this was not noticed: {name}")
    need(count > 30, "hardly any fault was tried")
    return count


def unpacked(archive, to):
    """The archive's files, if they are packed so that two runs give the same bytes."""
    with zipfile.ZipFile(archive) as packed:
        need(packed.testzip() is None, "it is damaged")
        need(packed.namelist() == sorted(packed.namelist()), "its files are in no order")
        need(
            {info.date_time for info in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)},
            "its files have times",
        )
        packed.extractall(to)


def main():
    pattern, check, inner = {
        "ios": ("vesde-*.xcframework.zip", xcframework, "vesde.xcframework"),
        "android": ("vesde-*.aar", aar, "."),
    }[sys.argv[1]]
    archives = list(PHONE.glob(pattern))
    need(len(archives) == 1, f"there are {len(archives)} packages")
    with tempfile.TemporaryDirectory(dir=PHONE) as folder:
        folder = Path(folder, "package")
        unpacked(archives[0], folder)
        for line in check(folder / inner):
            print(f"phone {line}")
        if check is xcframework:
            swift_package(archives[0])
        count = tried(check, folder / inner)
    print(f"phone {archives[0].name}: read back; {count} faults tried, all noticed")


if __name__ == "__main__":
    try:
        main()
    except Broken as broken:
        sys.exit(f"phone: {broken}")
