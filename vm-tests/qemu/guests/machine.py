"""A virtual machine with the methods of the NixOS driver: start, crash, succeed, wait_for_unit, ...

Commands go to a shell in the guest over a virtio port, one at a time. The answer is one line:
stdout and stderr, both in base64, and the exit status.
"""

import base64
import json
import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

# Longest time in seconds from power to a shell: without KVM on a busy machine it takes minutes.
BOOT = 900.0
SHUTDOWN = 360.0
# Default timeout of the NixOS driver, in seconds.
PATIENCE = 900.0
PAUSE = 0.5


class Failed(Exception):
    """An expectation of a VM test failed."""


class Machine:
    """One guest. Its disk survives crashes and reboots."""

    def __init__(
        self, name: str, command: list[str], place: Path, interfaces: Iterable[str]
    ) -> None:
        self.name = name
        self.place = place
        self.interfaces = list(interfaces)
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._shell: socket.socket | None = None
        self._unread = b""
        self._ready = False

    # Power.

    def start(self) -> None:
        if self.running():
            return
        for name in ["driver", "console", "monitor"]:
            (self.place / name).unlink(missing_ok=True)
        with (self.place / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(
                # The kernel kills QEMU when this process ends.
                ["setpriv", "--pdeathsig", "KILL", *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._shell = self._connect("driver")
        self._unread = b""
        self._ready = False

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def crash(self) -> None:
        """Kills QEMU, as a loss of power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._forget()

    def shutdown(self) -> None:
        """Shuts the guest down in order and waits until it is off."""
        if not self.running():
            return
        assert self._process is not None
        self._wait_for_shell()
        self._send("systemctl poweroff\n")
        try:
            self._process.wait(SHUTDOWN)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} is not off after {SHUTDOWN:.0f} s") from None
        self._forget()

    def reboot(self) -> None:
        """Reboots the guest in order, without waiting."""
        self._wait_for_shell()
        self._send("systemctl reboot\n")
        self._ready = False

    def _forget(self) -> None:
        if self._shell is not None:
            self._shell.close()
        self._shell = None
        self._process = None
        self._ready = False

    # Cables.

    def block(self) -> None:
        """Pulls all cables."""
        self._links(up=False)

    def unblock(self) -> None:
        self._links(up=True)

    def _links(self, *, up: bool) -> None:
        if not self.running():
            raise Failed(f"{self.name} is off: start it before you pull or plug a cable")
        with self._connect("monitor") as monitor:
            lines = monitor.makefile("rw")
            lines.readline()
            commands = [{"execute": "qmp_capabilities"}] + [
                {"execute": "set_link", "arguments": {"name": interface, "up": up}}
                for interface in self.interfaces
            ]
            for command in commands:
                lines.write(json.dumps(command) + "\n")
                lines.flush()
                while "return" not in (answer := json.loads(lines.readline())):
                    if "error" in answer:
                        raise Failed(f"{self.name}: {command}: {answer['error']}")

    # Commands.

    def execute(self, command: str, timeout: float | None = PATIENCE) -> tuple[int, str]:
        status, output, _ = self._run(command, PATIENCE if timeout is None else timeout)
        return status, output

    def succeed(self, *commands: str, timeout: float | None = None) -> str:
        said = ""
        for command in commands:
            status, output, error = self._run(command, timeout or PATIENCE)
            if status != 0:
                raise Failed(f"{self.name}: `{command}` failed with {status}: {output}{error}")
            said += output
        return said

    def fail(self, *commands: str, timeout: float | None = None) -> str:
        said = ""
        for command in commands:
            status, output, _ = self._run(command, timeout or PATIENCE)
            if status == 0:
                raise Failed(f"{self.name}: `{command}` succeeded: {output}")
            said += output
        return said

    def wait_until_succeeds(self, command: str, timeout: float = PATIENCE) -> str:
        return self._wait_until(command, lambda status: status == 0, "succeed", timeout)

    def wait_until_fails(self, command: str, timeout: float = PATIENCE) -> str:
        return self._wait_until(command, lambda status: status != 0, "fail", timeout)

    def _wait_until(
        self, command: str, good: Callable[[int], bool], verb: str, timeout: float
    ) -> str:
        # The timeout does not include the boot.
        self._wait_for_shell()
        end = time.monotonic() + timeout
        while True:
            left = max(end - time.monotonic(), 1.0)
            status, output, error = self._run(command, left)
            if good(status):
                return output
            if time.monotonic() > end:
                raise Failed(
                    f"{self.name}: `{command}` did not {verb} in {timeout:.0f} s: "
                    f"{status}: {output}{error}"
                )
            time.sleep(PAUSE)

    def systemctl(self, arguments: str) -> tuple[int, str]:
        return self.execute(f"systemctl {arguments}")

    def get_unit_property(self, unit: str, name: str) -> str:
        return self.succeed(f"systemctl show --property={name} --value {shlex.quote(unit)}").strip()

    def wait_for_unit(self, unit: str, timeout: float = PATIENCE) -> None:
        """Waits until a unit is active; fails when it has failed, or is inactive without a job."""
        self._wait_for_shell()
        end = time.monotonic() + timeout
        while True:
            output = self.succeed(f"systemctl show --property=ActiveState,Job {shlex.quote(unit)}")
            state = dict(line.split("=", 1) for line in output.splitlines())
            active = state["ActiveState"]
            if active == "active":
                return
            if active == "failed":
                raise Failed(f"{self.name}: {unit} has failed")
            if active == "inactive" and not int(state.get("Job") or 0):
                booted = self.execute("systemctl is-system-running")[1].strip()
                if booted not in ("initializing", "starting"):
                    raise Failed(f"{self.name}: {unit} is inactive, and no job starts it")
            if time.monotonic() > end:
                raise Failed(f"{self.name}: {unit} is {active} after {timeout:.0f} s")
            time.sleep(PAUSE)

    def wait_for_file(self, path: str, timeout: float = PATIENCE) -> None:
        self.wait_until_succeeds(f"test -e {shlex.quote(path)}", timeout)

    def wait_for_open_port(self, port: int, timeout: float = PATIENCE) -> None:
        self.wait_until_succeeds(f"(: > /dev/tcp/127.0.0.1/{port})", timeout)

    def copy_from_host(self, source: str, target: str) -> None:
        """Copies one file."""
        data = base64.b64encode(Path(source).read_bytes()).decode()
        place = shlex.quote(target)
        self.succeed(
            f'mkdir --parents "$(dirname {place})" && base64 -d <<< {data} > {place} && '
            f"chmod {Path(source).stat().st_mode & 0o777:o} {place}"
        )

    # The shell.

    def _wait_for_shell(self) -> None:
        self.start()
        if not self._ready:
            end = time.monotonic() + BOOT
            while self._line(end, f"no shell {BOOT:.0f} s after power") != "ready":
                pass
            self._ready = True

    def _run(self, command: str, timeout: float) -> tuple[int, str, str]:
        self._wait_for_shell()
        script = shlex.quote(f"set -euo pipefail\n{command}\n")
        # The timeout runs on the guest's clock; the host waits 60 s longer for the answer.
        self._send(
            f"timeout --kill-after=5 {timeout:.1f} bash -c {script} "
            "< /dev/null 2> /run/driver.stderr | base64 --wrap=0; "
            'echo " $(base64 --wrap=0 /run/driver.stderr) ${PIPESTATUS[0]}"\n'
        )
        line = self._line(time.monotonic() + timeout + 60, f"no answer to `{command}`")
        output, error, status = line.split(" ")
        return int(status), decoded(output), decoded(error)

    def _send(self, text: str) -> None:
        assert self._shell is not None
        self._shell.settimeout(60)
        self._shell.sendall(text.encode())

    def _line(self, end: float, complaint: str) -> str:
        assert self._shell is not None
        while b"\n" not in self._unread:
            left = end - time.monotonic()
            if left <= 0:
                raise Failed(f"{self.name}: {complaint}")
            self._shell.settimeout(left)
            try:
                data = self._shell.recv(1 << 16)
            except TimeoutError:
                continue
            if not data:
                raise Failed(f"{self.name}: QEMU has ended, see {self.place / 'qemu.log'}")
            self._unread += data
        line, self._unread = self._unread.split(b"\n", 1)
        return line.decode(errors="replace")

    def _connect(self, name: str) -> socket.socket:
        end = time.monotonic() + 30
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(self.place / name))
                connection.settimeout(60)
                return connection
            except OSError as error:
                connection.close()
                if not self.running() or time.monotonic() > end:
                    log = (self.place / "qemu.log").read_text(errors="replace")
                    raise Failed(f"{self.name}: no QEMU: {error}\n{log}") from None
            time.sleep(0.05)


def decoded(text: str) -> str:
    return base64.b64decode(text).decode(errors="replace")
