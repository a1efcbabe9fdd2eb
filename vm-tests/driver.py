# Names of the NixOS test driver that VM tests may use, for mypy and pyflakes.
# `.ci/flake/stories.py` places this before each test, as the driver does with its own declarations
# when it is built. The machines of qemu/ have to provide the same names.
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol


class Machine(Protocol):
    name: str

    def start(self) -> None: ...

    def shutdown(self) -> None: ...

    def crash(self) -> None: ...

    def execute(self, command: str) -> tuple[int, str]: ...

    def succeed(self, *commands: str, timeout: int | None = None) -> str: ...

    def fail(self, *commands: str, timeout: int | None = None) -> str: ...

    def wait_for_unit(self, unit: str) -> None: ...

    def wait_until_succeeds(self, command: str, timeout: int = 900) -> str: ...

    def wait_until_fails(self, command: str, timeout: int = 900) -> str: ...


# Converts seconds to the driver's type of a duration: see default.nix.
seconds: Callable[[int], int]
start_all: Callable[[], None]
subtest: Callable[[str], AbstractContextManager[None]]
