"""Runs the tests of `checks.unit-tests` and of the package in an environment like Nix's sandbox.

The sandbox has no network and no home; /bin has sh only, /etc few files, and the project is limited
to the files that nixos/source.nix selects. The programs are those of `.ci/run test`. That build
gives each dependency the features of all crates of the workspace, so this script checks in addition
that the crates of the package compile separately.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]

# Shell script, run in separate namespaces. Arguments: a temporary directory, then project files.
SANDBOX = r"""
set -e
place=$1; shift
mkdir "$place/bin" "$place/etc" "$place/project"
ip link set lo up
for file; do
  if [ -d "$file" ]; then
    mkdir -p "$place/project/$file"
  else
    mkdir -p "$(dirname "$place/project/$file")" && : > "$place/project/$file"
  fi
  mount --bind "$file" "$place/project/$file"
done
cp /etc/passwd /etc/group /etc/hosts "$place/etc"
mount --bind /usr/bin "$place/bin"
export PATH="$place/bin" HOME=/homeless-shelter
mount -t tmpfs none /usr/bin
ln -s "$place/bin/sh" /usr/bin/sh
mount --bind "$place/etc" /etc
mount --rbind "$place/project" .
# Without this variable insta runs cargo, which is not in the sandbox.
export INSTA_WORKSPACE_ROOT="$PWD" INSTA_UPDATE=no
status=0
while read -r directory program; do
  (cd "$directory" && exec unshare --user --map-user=1000 "$program" --quiet) > "$place/said" 2>&1 ||
    { cat "$place/said"; status=1; }
done
exit $status
"""


def packages() -> list[str]:
    """Returns the options with which the package selects its crates."""
    options = re.findall(r'"(--package=.*)"', (PROJECT / "nixos" / "package.nix").read_text())
    assert options, "no --package= option in nixos/package.nix"
    return sorted(set(options))


def source() -> list[str]:
    """Returns the files of the package's source."""
    return re.findall(r"\.\./(\w[\w./]*)", (PROJECT / "nixos" / "source.nix").read_text())


def cargo(*arguments: str) -> str:
    done = subprocess.run(
        ["cargo", *arguments, "--locked"],
        cwd=PROJECT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def tests(crates: list[str]) -> list[tuple[Path, Path]]:
    """Returns directory and program of the unit tests of all crates and of every test of `crates`."""
    built = cargo("test", "--workspace", "--no-run", "--message-format=json", "--quiet")
    found = []
    for artifact in map(json.loads, built.splitlines()):
        if not artifact.get("executable") or not artifact["profile"]["test"]:
            continue
        directory = Path(artifact["manifest_path"]).parent
        unit = artifact["target"]["kind"] in (["lib"], ["bin"])
        if unit or directory.name in crates:
            found.append((directory, Path(artifact["executable"])))
    return found


def main() -> int:
    options = packages()
    cargo("check", "--tests", "--quiet", *options)
    crates = [option.removeprefix("--package=").removeprefix("vrrp-") for option in options]
    run = tests(crates)
    # Some tests run the program in the directory of the test programs.
    built = run[0][1].parents[1]
    files = source() + ([str(built.relative_to(PROJECT))] if built.is_relative_to(PROJECT) else [])
    with tempfile.TemporaryDirectory(prefix="vrrp-tests.") as place:
        done = subprocess.run(
            ["unshare", "--user", "--map-root-user", "--mount", "--net", "--pid", "--fork"]
            + ["--mount-proc", "sh", "-c", SANDBOX, "sh", place, *files],
            cwd=PROJECT,
            input="".join(f"{directory} {program}\n" for directory, program in run),
            text=True,
            check=False,
        )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
