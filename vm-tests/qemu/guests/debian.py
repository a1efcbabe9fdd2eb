"""Hosts of the VM tests for Debian only: of the package, and of a recipe with Debian's units."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import page

PROJECT = Path(__file__).resolve().parents[3]
TARGET = PROJECT / "target"

# Configuration of the daemon on each page of docs/recipes.
CONFIGURATION = "/etc/vrrpd/config.json"

# Units of the package, by the name that they are installed under.
UNITS = {
    "vrrp.service": "vrrpd.vrrp.service",
    "vrrp-scripts.service": "vrrp-scripts.service",
    "vrrp-scripts.socket": "vrrp-scripts.socket",
}


def plain(interfaces: dict[str, str]) -> dict[str, Any]:
    """A host with the addresses of these interfaces, each on the VLAN of its number, and nothing else."""
    return {
        "interfaces": {
            name: {"vlan": int(name.removeprefix("eth")), "addresses": [address]}
            for name, address in interfaces.items()
        },
        "daemon": None,
        "files": {},
        "firewall": None,
        "httpd": False,
        "keepalived": None,
        "modules": [],
    }


def packaged(number: int) -> dict[str, Any]:
    """A host with the package in /root, and nothing installed."""
    return {**plain({"eth1": f"192.168.224.{number}/24"}), "package": True}


def nfs_server(name: str, number: int) -> dict[str, Any]:
    """A host with the files of docs/recipes/nfs.md, the units of the package, and a second disk."""
    files = page.files("nfs", name)
    units = {
        unit: (PROJECT / "debian" / source).read_text().replace("/usr/sbin/", "/usr/local/sbin/")
        for unit, source in UNITS.items()
    }
    host = plain({"eth1": f"192.168.224.{number}/24", "eth2": f"192.168.198.{number}/24"})
    return {
        **host,
        "disk": 64,
        "daemon": {
            "config": json.loads(files.pop(CONFIGURATION)),
            "units": units,
            "scripts": {},
            "polkit": "",
            # The story starts the daemon, after the steps of the page.
            "wantedBy": [],
        },
        "files": {
            path: {"mode": "755" if path.startswith("/usr/local/") else "644", "text": text}
            for path, text in files.items()
        },
    }


def package() -> Path | None:
    """Returns the package: $VRRPD_DEB, or the newest one in target/."""
    if "VRRPD_DEB" in os.environ:
        return Path(os.environ["VRRPD_DEB"])
    return max(TARGET.glob("vrrpd_*.deb"), key=lambda path: path.stat().st_mtime, default=None)


# Hosts of each story. Functions, so that other stories do not need the page.
STORIES: dict[str, Callable[[], dict[str, dict[str, Any]]]] = {
    "nfs": lambda: {
        "nfs1": nfs_server("nfs1", 11),
        "nfs2": nfs_server("nfs2", 12),
        "client": plain({"eth1": "192.168.224.20/24"}),
    },
    "package": lambda: {"one": packaged(11), "two": packaged(12)},
}

# Packages that only one story needs: its image has them in addition.
PACKAGES = {
    "nfs": ["drbd-utils", "e2fsprogs", "iputils-ping", "nfs-kernel-server", "openssh-server"],
}
