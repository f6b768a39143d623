#!/usr/bin/env python3
"""Makes packages of libraries, and zips them: the same bytes from the same libraries.

pack.py xcframework VERSION URL    target/phone/vesde.xcframework, Package.swift
pack.py aar VERSION                target/phone/aar
"""

import hashlib
import json
import plistlib
import re
import shutil
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PHONE = ROOT / "target/phone"
LICENSES = sorted((PHONE / "licenses").iterdir())  # which .ci/licenses has made
MIN_SDK = 21  # the oldest that Rust's target and today's kits have

MODULE_MAP = """\
module vesde {
    header "vesde.h"
    export *
}
"""

# Swift's tools find the archive by its checksum, so that it may lie anywhere.
PACKAGE_SWIFT = """\
// swift-tools-version:5.3
import PackageDescription

let package = Package(
    name: "vesde",
    products: [.library(name: "vesde", targets: ["vesde"])],
    targets: [
        .binaryTarget(
            name: "vesde",
            url: "{url}",
            checksum: "{checksum}"
        )
    ]
)
"""

MANIFEST = """\
<?xml version="1.0" encoding="utf-8"?>
<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="vesde.android">
    <uses-sdk android:minSdkVersion="{sdk}" />
</manifest>
"""


def copy(names, to):
    to.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copyfile(ROOT / name, to / Path(name).name)


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def pack(folder, base, to):
    """Zips a folder's files under names relative to `base`, without what differs between runs."""
    with zipfile.ZipFile(to, "w") as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            # The oldest time that the format has, and plain files.
            info = zipfile.ZipInfo(path.relative_to(base).as_posix(), (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o100644 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, path.read_bytes(), compresslevel=9)
    print(f"phone {to.name}: {to.stat().st_size} bytes")


def xcframework(version, url):
    folder = PHONE / "vesde.xcframework"
    libraries = []
    for library in sorted(folder.glob("*/libvesde.a")):
        name = library.parent.name
        platform, architectures, *variant = name.split("-")
        # In a folder of their own: Xcode copies the headers of all packages into one.
        headers = library.parent / "Headers/vesde"
        copy(["include/vesde.h", "include/vesde.hpp"], headers)
        (headers / "module.modulemap").write_text(MODULE_MAP)
        libraries.append(
            {
                "BinaryPath": "libvesde.a",
                "HeadersPath": "Headers",
                "LibraryIdentifier": name,
                "LibraryPath": "libvesde.a",
                "SupportedArchitectures": re.findall("arm64|x86_64", architectures),
                "SupportedPlatform": platform,
                **({"SupportedPlatformVariant": variant[0]} if variant else {}),
            }
        )
    info = {
        "AvailableLibraries": libraries,
        "CFBundlePackageType": "XFWK",
        "XCFrameworkFormatVersion": "1.0",
    }
    (folder / "Info.plist").write_bytes(plistlib.dumps(info))
    copy(LICENSES, folder)

    archive = PHONE / f"vesde-{version}.xcframework.zip"
    pack(folder, PHONE, archive)
    checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
    print(f"phone {archive.name}: SHA-256 {checksum}")
    text = PACKAGE_SWIFT.replace("{url}", f"{url}/{archive.name}").replace("{checksum}", checksum)
    (PHONE / "Package.swift").write_text(text)


def aar(version):
    folder = PHONE / "aar"
    (folder / "AndroidManifest.xml").write_text(MANIFEST.format(sdk=MIN_SDK))
    copy(LICENSES, folder / "META-INF")
    prefab = folder / "prefab"
    write_json(
        prefab / "prefab.json",
        {"schema_version": 2, "name": "vesde", "version": version, "dependencies": []},
    )
    for module in sorted((prefab / "modules").iterdir()):
        write_json(
            module / "module.json",
            {
                "export_libraries": [],
                "library_name": "libvesde",
                "android": {"export_libraries": None, "library_name": None},
            },
        )
        copy(["include/vesde.h", "include/vesde.hpp"], module / "include")
        for library in sorted((module / "libs").iterdir()):
            # No kit of Android's was used; the number is the oldest for this API.
            write_json(
                library / "abi.json",
                {
                    "abi": library.name.removeprefix("android."),
                    "api": MIN_SDK,
                    "ndk": 21,
                    "stl": "none",
                    "static": module.name == "vesde_static",
                },
            )
    pack(folder, folder, PHONE / f"vesde-{version}.aar")


if __name__ == "__main__":
    {"xcframework": xcframework, "aar": aar}[sys.argv[1]](*sys.argv[2:])
