"""Checks the VM tests as the NixOS test driver does when it is built: types and names.
Checks the types of the machines that run them on Debian.

The driver's options for mypy are in nixpkgs' nixos/lib/testing/driver.nix. Function bodies without
annotations are checked in addition.
"""

import ast
import os
import subprocess
import sys
import tempfile
from pathlib import Path

STORIES = Path(__file__).resolve().parents[2] / "vm-tests"
sys.path.insert(0, str(STORIES / "qemu"))
from guests import render  # noqa: E402 - the path was just added

MYPY = ["mypy", "--no-implicit-optional", "--pretty", "--no-color-output", "--check-untyped-defs"]

# Fails to type-check if the machines on Debian lack a method that VM tests may use.
GUESTS = """
from guests.machine import Machine as Guest


def machine(guest: Guest) -> Machine:
    return guest
"""


def script(story: str) -> str:
    """Returns the test script as vm-tests/default.nix joins it."""
    return "".join((STORIES / name).read_text() for name in ["common.py", f"{story}.py"])


def hosts(story: str) -> list[str]:
    return list(render.load(story))


def declared(declarations: str) -> list[str]:
    """Returns the variables that a module declares."""
    return [
        statement.target.id
        for statement in ast.parse(declarations).body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    ]


def mypy(*arguments: str | Path) -> bool:
    environment = {**os.environ, "MYPYPATH": str(STORIES / "qemu")}
    return subprocess.run([*MYPY, *arguments], env=environment, check=False).returncode == 0


def check_types(directory: Path, modules: dict[str, str]) -> bool:
    paths = []
    for name, text in modules.items():
        paths.append(directory / f"{name.replace('-', '_')}.py")
        paths[-1].write_text(text)
    return mypy(*paths)


def check_names(name: str, text: str, builtins: list[str]) -> bool:
    environment = {**os.environ, "PYFLAKES_BUILTINS": ",".join(builtins)}
    done = subprocess.run(
        ["pyflakes"], env=environment, input=text, text=True, capture_output=True, check=False
    )
    print(done.stdout.replace("<stdin>", f"common.py + {name}.py"), end="")
    return done.returncode == 0


def main() -> int:
    driver = (STORIES / "driver.py").read_text()
    stories = render.stories()
    modules = {"machines_of_qemu": driver + GUESTS}
    for story in stories:
        machines = "".join(f"{host}: Machine\n" for host in hosts(story))
        modules[story] = driver + machines + script(story)
    with tempfile.TemporaryDirectory() as directory:
        good = check_types(Path(directory), modules)
    good &= mypy("--strict", "--package", "guests")
    for story in stories:
        good &= check_names(story, script(story), declared(driver) + hosts(story))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
