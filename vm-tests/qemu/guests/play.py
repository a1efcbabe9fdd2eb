"""Runs VM tests: common.py and TEST.py, with the names that the NixOS driver provides."""

import contextlib
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from . import debian
from .render import PROJECT, stories
from .stage import Stage, enter_namespace

STORIES = PROJECT / "vm-tests"
LOGS = PROJECT / "target" / "vm-tests"

# Longest time in seconds for one test, enough for a busy machine without KVM.
BOUND = 30 * 60

NOT_FOR_DEBIAN = {
    "reload": "it switches between specialisations, which only NixOS has "
    "(the tests of daemon/lab show that a changed file reloads the daemon)",
}


def say(text: str) -> None:
    print(text, flush=True)


@contextlib.contextmanager
def subtest(name: str) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    except BaseException:
        say(f"  FAILED {time.monotonic() - started:6.1f} s  {name}")
        raise
    say(f"  passed {time.monotonic() - started:6.1f} s  {name}")


def play(story: str, vrrpd: Path) -> bool:
    say(f"{story}:")
    started = time.monotonic()
    with Stage(story, vrrpd) as stage:
        names: dict[str, Any] = {
            **stage.machines,
            "machines": list(stage.machines.values()),
            "seconds": int,
            "start_all": stage.start_all,
            "subtest": subtest,
        }
        try:
            signal.alarm(BOUND)
            for path in [STORIES / "common.py", STORIES / f"{story}.py"]:
                exec(compile(path.read_text(), path, "exec"), names)  # noqa: S102
            passed = True
        except Exception:  # noqa: BLE001 - a test may fail in any way
            traceback.print_exc()
            stage.keep_logs(LOGS / story)
            say(f"  logs of the guests: {LOGS / story}")
            passed = False
        finally:
            signal.alarm(0)
        took = time.monotonic() - started
        say(f"{story}: {'passed' if passed else 'FAILED'} in {took:.0f} s ({stage.accelerator})")
    return passed


def stop(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def too_long(_: int, __: FrameType | None) -> None:
    raise TimeoutError(f"the test takes longer than {BOUND} s")


def main(arguments: list[str], usage: str | None) -> int:
    known = stories()
    wrong = [story for story in arguments if story not in known]
    if wrong:
        print(f"{usage}\nno such test: {' '.join(wrong)}; available: {' '.join(known)}")
        return 2
    vrrpd = enter_namespace(arguments or known)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
    signal.signal(signal.SIGALRM, too_long)
    failed = []
    for story in arguments or known:
        if story in NOT_FOR_DEBIAN:
            say(f"{story}: NOT RUN: {NOT_FOR_DEBIAN[story]}")
        elif story == "package" and debian.package() is None:
            say(f"{story}: NOT RUN: no package: DESTINATION=target debian/rules binary")
        elif not play(story, vrrpd):
            failed.append(story)
    if failed:
        print(f"failed: {' '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0
