#!/usr/bin/env bash
# Prints the folder of qemu-user's emulators from the release's backports: unpacked into
# target/qemu, not installed, nothing of the machine's apt changed. Debian 12's own (7.2) gets
# f64::from(x) * f64::from(y) wrong on s390x, where that is one instruction, MDEBR.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=$PWD/target/qemu
if [ ! -x "$folder/usr/bin/qemu-s390x" ]; then
  mkdir -p "$folder/lists/partial" "$folder/cache"
  cd "$folder"
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  # The mirror is the one that this machine has its release from.
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $codename" | sort -u)
  echo "deb ${mirror%%$'\n'*} $codename-backports main" >sources.list
  apt=(apt-get -o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=-
    -o Dir::State::Lists="$folder/lists" -o Dir::Cache="$folder/cache")
  "${apt[@]}" update >&2
  "${apt[@]}" download qemu-user/"$codename"-backports >&2
  dpkg -x qemu-user_*.deb .
  rm qemu-user_*.deb
fi
echo "$folder/usr/bin"
