"""Output of the NixOS module for the hosts of the VM tests, stored in `vm-tests/rendered/`, and for the
Debian package, stored in `debian/`.

Without Nix the stored files are used.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

from . import debian

PROJECT = Path(__file__).resolve().parents[3]
RENDERED = PROJECT / "vm-tests" / "rendered"
DEBIAN = PROJECT / "debian"
EVALUATE = PROJECT / "nixos" / "evaluate"
# Exit status of EVALUATE without Nix.
NO_NIX = 3

Story = dict[str, dict[str, Any]]


def evaluate() -> dict[Path, str] | None:
    """Evaluates the files, by path; `None` without Nix."""
    rendered, units = value("lib.rendered"), value("lib.debianUnits")
    if rendered is None or units is None:
        return None
    stories = {
        RENDERED / f"{story}.json": json.dumps(hosts, indent=2, sort_keys=True) + "\n"
        for story, hosts in rendered.items()
    }
    return {**stories, **{DEBIAN / name: text for name, text in units.items()}}


def value(attribute: str) -> Any:
    """Evaluates an attribute of the flake; `None` without Nix."""
    answer = subprocess.run(
        [str(EVALUATE), attribute], check=False, capture_output=True, text=True, timeout=600
    )
    if answer.returncode == NO_NIX:
        return None
    if answer.returncode != 0:
        raise SystemExit(f"{answer.stderr}\nevaluation failed: {EVALUATE}")
    return json.loads(answer.stdout)


def present() -> dict[Path, str]:
    paths = [*RENDERED.glob("*.json"), *DEBIAN.glob("*.service"), *DEBIAN.glob("*.socket")]
    return {path: path.read_text() for path in sorted(paths)}


def write(files: dict[Path, str]) -> None:
    RENDERED.mkdir(exist_ok=True)
    for path in present().keys() - files.keys():
        path.unlink()
    for path, text in files.items():
        path.write_text(text)


def stories() -> list[str]:
    """Names of all tests."""
    return sorted([*(path.stem for path in RENDERED.glob("*.json")), *debian.STORIES])


def load(story: str) -> Story:
    """Loads the hosts of a test, by name."""
    if story in debian.STORIES:
        return debian.STORIES[story]()
    hosts: Story = json.loads((RENDERED / f"{story}.json").read_text())
    return hosts


def packages(story: str) -> list[str]:
    """Debian packages that only this test needs."""
    return debian.PACKAGES.get(story, [])
