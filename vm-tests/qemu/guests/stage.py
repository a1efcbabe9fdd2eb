"""The hosts of a VM test as virtual machines, on isolated networks.

Each VLAN is a bridge, each interface a tap on it. All of them are in a network namespace that
ends with the run.
"""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from . import render
from .image import Image, image
from .machine import BOOT, Machine
from .provision import provision

PROJECT = render.PROJECT
# Environment variable of a process with a separate network namespace: its process ID.
INSIDE = "VRRP_VM_NAMESPACE"

KERNEL = (
    "console=ttyS0 net.ifnames=0 quiet mitigations=off fsck.mode=skip panic=10 "
    # The shell waits for its device: the default timeout is too short on a busy machine.
    f"systemd.getty_auto=no systemd.default_device_timeout_sec={BOOT:.0f}"
)
KVM_PROBE = 20


def enter_namespace(stories: Iterable[str]) -> Path:
    """Restarts the program in a separate network namespace and returns the path of the daemon.

    The images of these stories and the dependencies of the daemon are downloaded before.
    """
    if os.environ.get(INSIDE) == str(os.getpid()):
        return daemon()
    for story in stories:
        image(render.packages(story))
    environment = {**os.environ, INSIDE: str(os.getpid()), "VRRPD": str(daemon())}
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    sys.stdout.flush()
    os.execvpe("unshare", ["unshare", *user, "--net", "--", sys.executable, *sys.argv], environment)


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, timeout=30)


def daemon() -> Path:
    """Returns $VRRPD, or builds the daemon with cargo."""
    if "VRRPD" in os.environ:
        return Path(os.environ["VRRPD"])
    build = ["cargo", "build", "--quiet", "--release", "--locked", "--package", "vrrpd"]
    subprocess.run(build, cwd=PROJECT, check=True, timeout=1800)
    target = Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    return PROJECT / target / "release" / "vrrpd"


@functools.cache
def accelerator(found: Image) -> list[str]:
    """Selects KVM if a kernel boots with it: the existence of /dev/kvm is not sufficient."""
    if os.access("/dev/kvm", os.R_OK | os.W_OK) and kvm_works(found):
        return ["-accel", "kvm", "-cpu", "host"]
    # A processor without AVX: vector instructions are slow to emulate.
    return ["-accel", "tcg,thread=multi", "-cpu", "qemu64"]


def kvm_works(found: Image) -> bool:
    command = [
        *["qemu-system-x86_64", "-machine", "q35", "-accel", "kvm", "-cpu", "host"],
        *["-m", "256", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
        *["-serial", "stdio", "-kernel", str(found.kernel), "-initrd", str(found.initramfs)],
        *["-append", "console=ttyS0 quiet panic=-1 vrrp.probe"],
    ]
    probe = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "timeout", str(KVM_PROBE), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        assert probe.stdout is not None
        for line in probe.stdout:
            if b"vrrp.probe: up" in line:
                return True
            # The guest stops then, and QEMU continues.
            if b"KVM internal error" in line:
                return False
        return False
    finally:
        probe.terminate()
        probe.wait()


class Stage:
    """Machines of one VM test, from the first tap to the end of the last process."""

    def __init__(self, story: str, vrrpd: Path, *, prompts: bool = False) -> None:
        self.story = story
        self.hosts = render.load(story)
        self.place = Path(tempfile.mkdtemp(prefix="vrrp-vm."))
        self.machines: dict[str, Machine] = {}
        self.links: list[str] = []
        self.kernel = KERNEL + (" systemd.debug_shell=ttyS0" if prompts else "")
        try:
            self._build(vrrpd)
        except BaseException:
            self.close()
            raise

    def _build(self, vrrpd: Path) -> None:
        found = image(render.packages(self.story))
        accel = accelerator(found)
        self.accelerator = accel[1].split(",")[0]
        ip("link", "set", "lo", "up")
        vlans = {
            network["vlan"]
            for host in self.hosts.values()
            for network in host["interfaces"].values()
        }
        for vlan in sorted(vlans):
            # Without snooping, as a switch that floods multicast.
            ip("link", "add", f"br{vlan}", "type", "bridge", "mcast_snooping", "0")
            ip("link", "set", f"br{vlan}", "up")
            self.links.append(f"br{vlan}")
        for number, (name, host) in enumerate(sorted(self.hosts.items()), 1):
            place = self.place / name
            place.mkdir()
            archive = provision(self.story, name, host, vrrpd).archive("host")
            (place / "initramfs").write_bytes(found.initramfs.read_bytes() + archive)
            subprocess.run(
                [
                    *["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw"],
                    *["-b", str(found.disk), str(place / "disk")],
                ],
                check=True,
                timeout=60,
            )
            command = [*qemu(name, place, found, accel, self.kernel), *self._nics(number, host)]
            command += disk(place, host.get("disk"))
            self.machines[name] = Machine(name, command, place, host["interfaces"])

    def _nics(self, number: int, host: dict[str, Any]) -> list[str]:
        """Creates the taps and returns QEMU's arguments. A MAC ends with the number of the interface."""
        arguments = []
        for interface, network in sorted(host["interfaces"].items()):
            tap = f"tap{number}-{interface}"
            mac = f"52:54:00:00:{number:02x}:{int(interface.removeprefix('eth')):02x}"
            ip("tuntap", "add", tap, "mode", "tap")
            ip("link", "set", tap, "master", f"br{network['vlan']}", "up")
            self.links.append(tap)
            arguments += ["-netdev", f"tap,id={interface},ifname={tap},script=no,downscript=no"]
            arguments += ["-device", f"virtio-net-pci,netdev={interface},mac={mac},romfile="]
        return arguments

    def start_all(self) -> None:
        for machine in self.machines.values():
            machine.start()

    def keep_logs(self, target: Path) -> None:
        """Stores logs and status of the guests in `target`."""
        shutil.rmtree(target, ignore_errors=True)
        for name, machine in self.machines.items():
            place = target / name
            place.mkdir(parents=True)
            for log in ["console.log", "qemu.log"]:
                if (machine.place / log).exists():
                    shutil.copy(machine.place / log, place / log)
            if not machine.running():
                continue
            for log, command in {
                "journal": "journalctl --no-pager --output=short-precise",
                "status": "vrrpd status; ip address; ip route; systemctl --no-pager --failed",
            }.items():
                try:
                    (place / log).write_text(machine.execute(command, timeout=60)[1])
                except Exception as error:  # noqa: BLE001 - the guest may be broken
                    (place / log).write_text(f"not available: {error}\n")

    def close(self) -> None:
        for machine in self.machines.values():
            machine.crash()
        shutil.rmtree(self.place, ignore_errors=True)
        # The next test of this run uses the same names.
        for link in self.links:
            subprocess.run(["ip", "link", "del", link], check=False, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def disk(place: Path, size: int | None) -> list[str]:
    """Creates a second disk of `size` MiB, /dev/vdb, and returns QEMU's arguments."""
    if size is None:
        return []
    with (place / "data").open("wb") as data:
        data.truncate(size << 20)
    return [
        *["-drive", f"if=none,id=data,format=raw,file={place}/data"],
        *["-device", "virtio-blk-pci,drive=data"],
    ]


def qemu(name: str, place: Path, found: Image, accel: list[str], kernel: str) -> list[str]:
    def channel(what: str, more: str = "") -> str:
        return f"socket,id={what},path={place}/{what},server=on,wait=off{more}"

    return [
        *["qemu-system-x86_64", "-name", name, "-machine", "q35", *accel],
        *["-m", "384", "-nodefaults", "-no-user-config", "-display", "none"],
        *["-kernel", str(found.kernel), "-initrd", f"{place}/initramfs", "-append", kernel],
        *["-drive", f"if=none,id=disk,format=qcow2,file={place}/disk"],
        *["-device", "virtio-blk-pci,drive=disk", "-device", "virtio-rng-pci"],
        *["-chardev", channel("console", f",logfile={place}/console.log,logappend=on")],
        *["-serial", "chardev:console"],
        *["-device", "virtio-serial-pci", "-chardev", channel("driver")],
        *["-device", "virtserialport,chardev=driver,name=driver"],
        *["-chardev", channel("monitor"), "-mon", "chardev=monitor,mode=control"],
    ]
