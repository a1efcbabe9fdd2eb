"""Hosts of the VM tests of the Debian package, which NixOS does not use."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parents[3] / "target"


def host(number: int) -> dict[str, Any]:
    """A host with one interface and the package in /root, and nothing installed."""
    return {
        "interfaces": {"eth1": {"vlan": 1, "addresses": [f"192.168.224.{number}/24"]}},
        "package": True,
        "daemon": None,
        "files": {},
        "firewall": None,
        "httpd": False,
        "keepalived": None,
        "modules": [],
    }


def package() -> Path | None:
    """Returns the package: $VRRPD_DEB, or the newest one in target/."""
    if "VRRPD_DEB" in os.environ:
        return Path(os.environ["VRRPD_DEB"])
    return max(TARGET.glob("vrrpd_*.deb"), key=lambda path: path.stat().st_mtime, default=None)


# Hosts of each story.
STORIES: dict[str, Callable[[], dict[str, dict[str, Any]]]] = {
    "package": lambda: {"one": host(11), "two": host(12)},
}

# Packages that only one story needs: its image has them in addition.
PACKAGES: dict[str, list[str]] = {}
