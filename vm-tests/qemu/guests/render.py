"""Output of the NixOS module for the hosts of the VM tests, stored in `vm-tests/rendered/`.

Without Nix the stored files are used.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[3]
RENDERED = PROJECT / "vm-tests" / "rendered"
EVALUATE = PROJECT / "nixos" / "evaluate"
# Exit status of EVALUATE without Nix.
NO_NIX = 3

Story = dict[str, dict[str, Any]]


def evaluate() -> dict[str, str] | None:
    """Evaluates the files, by name; `None` without Nix."""
    answer = subprocess.run(
        [str(EVALUATE), "lib.rendered"], check=False, capture_output=True, text=True, timeout=600
    )
    if answer.returncode == NO_NIX:
        return None
    if answer.returncode != 0:
        raise SystemExit(f"{answer.stderr}\nevaluation failed: {EVALUATE}")
    return {
        f"{story}.json": json.dumps(hosts, indent=2, sort_keys=True) + "\n"
        for story, hosts in json.loads(answer.stdout).items()
    }


def present() -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(RENDERED.glob("*.json"))}


def write(files: dict[str, str]) -> None:
    RENDERED.mkdir(exist_ok=True)
    for name in present().keys() - files.keys():
        (RENDERED / name).unlink()
    for name, text in files.items():
        (RENDERED / name).write_text(text)


def load(story: str) -> Story:
    """Loads the hosts of a test, by name."""
    hosts: Story = json.loads((RENDERED / f"{story}.json").read_text())
    return hosts
