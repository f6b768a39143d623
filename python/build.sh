#!/usr/bin/env bash
# python/build.sh: the source distribution and from it the wheel for Linux, in target/wheel. Then
# types and tests, of the wheel as installed in a clean environment.
# The same sources and tools give the same bytes, in a folder of the same name.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly to=target/wheel venv=target/wheel/venv
# manylinux_2_17 is what pip takes for glibc 2.17 and later.
platform=manylinux_2_17_$(uname -m)
readonly platform
unset PYTHONPATH VESDE_LIBRARY

rm -rf "$to"
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --no-compile auditwheel==6.8.2 hatchling==1.33.0 mypy==2.4.1 pytest==9.2.0
(cd python && "../$venv/bin/hatchling" build -t sdist -d "../$to")
tar -C "$to" --touch -xzf "$to"/vesde-*.tar.gz
.ci/licenses "$to/licenses"
VESDE_WHEEL_PLATFORM=$platform VESDE_WHEEL_LICENSES=$PWD/$to/licenses "$venv/bin/pip" wheel \
  --quiet --no-deps --wheel-dir "$to" "$to"/vesde-*/
wheel=$(echo "$to"/vesde-*-py3-none-"$platform".whl)
# Its licences, and that of libm, which has none of these.
"$venv/bin/python" -m zipfile --list "$wheel" | grep -c '/licenses/LICENSE-\(APACHE\|MIT\|libm\) ' |
  grep -qx 3
# What the library needs of glibc must be in that version.
"$venv/bin/auditwheel" show "$wheel" | tee "$to/audit"
oldest=$(tr '\n' ' ' <"$to/audit" | sed -nE 's/.*tag: +"manylinux_2_([0-9]+)_.*/\1/p')
[ "$oldest" -le 17 ]
echo "python, a wheel of $(stat -c %s "$wheel") bytes: $(sha256sum "$wheel")"

"$venv/bin/pip" install --quiet --no-compile "$wheel"
"$venv/bin/mypy" --config-file python/pyproject.toml -p vesde
"$venv/bin/pytest" -q -p no:cacheprovider python/tests | tee "$to/tests"
echo "python, $(tail -n 1 "$to/tests")"
