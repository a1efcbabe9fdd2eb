"""Interactive lab: the hosts of a VM test keep running, each with a root prompt."""

import os
import select
import signal
import socket
import sys
import termios
import tty
from pathlib import Path

from .image import cache
from .machine import Failed, Machine
from .play import stop
from .render import RENDERED
from .stage import Stage, enter_namespace

# Link to the directory of the running lab, which has the sockets for `lab prompt HOST`.
CURRENT = cache() / "lab"
LEAVE = b"\x1d"


def main(arguments: list[str], usage: str) -> int:
    if len(arguments) == 2 and arguments[0] == "prompt":
        return prompt(arguments[1])
    story = arguments[0] if arguments else "httpd"
    if len(arguments) > 1 or not (RENDERED / f"{story}.json").exists():
        print(usage, file=sys.stderr)
        return 2
    vrrpd = enter_namespace([story])
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
    with Stage(story, vrrpd, prompts=True) as stage:
        CURRENT.unlink(missing_ok=True)
        CURRENT.symlink_to(stage.place)
        try:
            stage.start_all()
            print(f"{story}: starting {' '.join(stage.machines)} (without KVM: about a minute)")
            print(usage.split("\n\n", 1)[1])
            obey(stage.machines)
        finally:
            CURRENT.unlink(missing_ok=True)
    return 0


def obey(machines: dict[str, Machine]) -> None:
    while True:
        try:
            words = input("lab> ").split()
        except (EOFError, KeyboardInterrupt):
            print()
            return
        if words == ["quit"]:
            return
        match words:
            case []:
                continue
            case [verb, name] if name in machines:
                try:
                    act(machines[name], verb)
                except Failed as error:
                    print(error)
            case _:
                print(f"on, off, crash, pull, plug and one of {' '.join(machines)}; or quit")


def act(machine: Machine, verb: str) -> None:
    match verb:
        case "on":
            machine.start()
        case "off":
            machine.shutdown()
        case "crash":
            machine.crash()
        case "pull":
            machine.block()
        case "plug":
            machine.unblock()
        case _:
            print(f"{verb}? on, off, crash, pull or plug")


def prompt(name: str) -> int:
    """Connects this terminal to the console of a host."""
    place = Path(CURRENT) / name / "console"
    # sun_path holds at most 108 bytes: use the resolved, shorter path.
    with socket.socket(socket.AF_UNIX) as console:
        try:
            console.connect(os.path.realpath(place))
        except OSError as error:
            print(f"no prompt on {name}: {error.strerror}; is the lab up?", file=sys.stderr)
            return 1
        print(f"{name}: Ctrl-] leaves", flush=True)
        here = sys.stdin.fileno()
        before = termios.tcgetattr(here) if sys.stdin.isatty() else None
        try:
            if before is not None:
                tty.setraw(here)
            console.sendall(b"\n")
            join(here, console)
        finally:
            if before is not None:
                termios.tcsetattr(here, termios.TCSADRAIN, before)
                print()
    return 0


def join(here: int, console: socket.socket) -> None:
    watched: list[int | socket.socket] = [here, console]
    while True:
        ready, _, _ = select.select(watched, [], [])
        if here in ready:
            typed = os.read(here, 1024)
            if not typed or LEAVE in typed:
                return
            console.sendall(typed)
        if console in ready:
            said = console.recv(1 << 16)
            if not said:
                return
            os.write(sys.stdout.fileno(), said)
