"""What the module for NixOS makes of the hosts of the stories, kept in `vm-tests/rendered/`.

Evaluation needs a Nix, or what stands in for one; where there is neither, the files are taken as
they are.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[3]
RENDERED = PROJECT / "vm-tests" / "rendered"
STAND_IN = PROJECT.parent / "shared" / "nix-eval" / "run"

Story = dict[str, dict[str, Any]]


def evaluator() -> list[str] | None:
    """The command that evaluates, if there is one."""
    if shutil.which("nix"):
        return ["nix", "eval", "--json", f"{PROJECT}#lib.rendered"]
    if STAND_IN.exists():
        return [str(STAND_IN), "--eval", "lib.rendered"]
    return None


def evaluate(command: list[str]) -> dict[str, str]:
    """The files as they should be, by name."""
    answer = subprocess.run(
        command, cwd=PROJECT, check=False, capture_output=True, text=True, timeout=600
    )
    if answer.returncode != 0:
        raise SystemExit(f"{answer.stderr}\nnot evaluated: {' '.join(command)}")
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
    """The hosts of a story by name."""
    hosts: Story = json.loads((RENDERED / f"{story}.json").read_text())
    return hosts
