"""The image that all guests start from: Debian trixie, a kernel, and an initramfs of our own.

It is built once and kept under the hash of its recipe, which is this file and what stands in
`recipe/`. A run never writes to it: every guest has an overlay. A story with packages of its own
has an image of its own, so that these packages are neither built nor booted for the other stories.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
RECIPE = [HERE / "image.py", *sorted((HERE / "recipe").iterdir())]

PACKAGES = [
    # A system.
    "busybox-static",
    "dbus",
    "iproute2",
    "kmod",
    "linux-image-cloud-amd64",
    "polkitd",
    "procps",
    "systemd-sysv",
    "udev",
    "xz-utils",
    # What the stories talk of.
    "apache2-bin",
    "curl",
    "iptables",
    "ipvsadm",
    "jq",
    "keepalived",
    "nftables",
]

# No build takes longer, even from a slow mirror.
PATIENCE = 30 * 60


@dataclass(frozen=True)
class Image:
    disk: Path
    kernel: Path
    initramfs: Path


def cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "vrrp-vm"


def mirror() -> str:
    """The one that this machine uses already, if it is a Debian."""
    if "DEBIAN_MIRROR" in os.environ:
        return os.environ["DEBIAN_MIRROR"]
    sources = Path("/etc/apt/sources.list.d/debian.sources")
    if sources.exists():
        for line in sources.read_text().splitlines():
            if line.startswith("URIs:"):
                return line.split()[1]
    return "http://deb.debian.org/debian"


def recipe_hash(packages: Sequence[str]) -> str:
    sha = hashlib.sha256()
    for path in RECIPE:
        sha.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    for package in sorted(packages):
        sha.update(package.encode() + b"\0")
    return sha.hexdigest()[:16]


def image(packages: Sequence[str] = ()) -> Image:
    """The image with these packages beside PACKAGES; it is built if there is none of this recipe."""
    place = cache() / recipe_hash(packages)
    if not place.exists():
        build(place, packages)
    return Image(place / "disk.raw", place / "vmlinux", place / "initramfs.cpio")


def build(place: Path, packages: Sequence[str]) -> None:
    print(f"building the image of the guests in {place}", flush=True)
    unfinished = place.with_name(f"{place.name}.{os.getpid()}")
    unfinished.mkdir(parents=True)
    try:
        subprocess.run(
            [
                "mmdebstrap",
                "--quiet",
                "--variant=minbase",
                f"--include={','.join([*PACKAGES, *packages])}",
                # Kernel packages want one; it is not what boots.
                "--aptopt=APT::Install-Recommends false",
                f'--customize-hook={HERE}/recipe/finish "$1" {unfinished}',
                "trixie",
                "/dev/null",
                mirror(),
            ],
            check=True,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
        )
        # Who comes second has built in vain.
        if not place.exists():
            unfinished.rename(place)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
