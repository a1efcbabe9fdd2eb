"""Files that turn the image into one host of a VM test.

They come from `vm-tests/rendered/` and are in an archive that the initramfs unpacks at the first
boot. This file alone has the Debian-specific configuration: networkd, Apache, the two firewalls.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import debian

UNITS = "/etc/systemd/system"
# Units that the package installs beside the program.
SYSTEMD = Path(__file__).resolve().parents[3] / "daemon/vrrpd/systemd"

# A unit of a test without any work.
ONESHOT = """\
[Service]
Type=oneshot
RemainAfterExit=true
ExecStart=/bin/true
"""

# Loads kernel modules at boot: systemd's own unit for this is masked.
MODULES_UNIT = """\
[Unit]
Description=Kernel modules
Before=vrrp.service

[Service]
Type=oneshot
RemainAfterExit=true
ExecStart=/sbin/modprobe --all {modules}

[Install]
WantedBy=multi-user.target
"""

# Units that a test adds, for its scripts to manage.
ONESHOTS = {"hardening": ["managed", "foreign"]}

# Has the name and the PID file of NixOS and of the course.
HTTPD_UNIT = """\
[Unit]
Description=Apache HTTPD
After=network.target

[Service]
Type=forking
PIDFile=/run/httpd/httpd.pid
ExecStart=/usr/sbin/apache2 -f /etc/httpd.conf -k start
ExecStop=/usr/sbin/apache2 -f /etc/httpd.conf -k graceful-stop
ExecReload=/usr/sbin/apache2 -f /etc/httpd.conf -k graceful
Restart=always
RestartSec=5s
RuntimeDirectory=httpd

[Install]
WantedBy=multi-user.target
"""

HTTPD_CONFIGURATION = """\
ServerName localhost
ServerRoot /run/httpd
PidFile /run/httpd/httpd.pid
DefaultRuntimeDir /run/httpd
ErrorLog /run/httpd/error.log
Listen 80
User www-data
Group www-data
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule dir_module /usr/lib/apache2/modules/mod_dir.so
StartServers 1
MinSpareThreads 5
MaxSpareThreads 25
ThreadsPerChild 25
MaxRequestWorkers 50
DocumentRoot /etc/www
DirectoryIndex index.html
<Directory /etc/www>
  Require all granted
</Directory>
"""

# The firewalls of NixOS: accepted packets, reverse path filter, and the chain names that rules use.
IPTABLES_UNIT = """\
[Unit]
Description=Firewall
Wants=network-pre.target
Before=network-pre.target
After=systemd-modules-load.service

[Service]
Type=oneshot
RemainAfterExit=true
ExecStart=/usr/local/lib/firewall
ExecReload=/usr/local/lib/firewall

[Install]
WantedBy=multi-user.target
"""

# One restore for each family, so that a reload has no gap.
IPTABLES_SCRIPT = """\
#!/bin/sh
set -e
iptables-restore --wait <<'END'
*mangle
-A PREROUTING -m rpfilter --validmark --invert{loose} -j DROP
COMMIT
*filter
:INPUT ACCEPT [0:0]
:nixos-fw-accept - [0:0]
:nixos-fw - [0:0]
-A nixos-fw-accept -j ACCEPT
-A nixos-fw -i lo -j nixos-fw-accept
-A nixos-fw -m conntrack --ctstate ESTABLISHED,RELATED -j nixos-fw-accept
-A nixos-fw -p icmp --icmp-type echo-request -j nixos-fw-accept
{rules}
-A nixos-fw -j DROP
-A INPUT -j nixos-fw
COMMIT
END
ip6tables-restore --wait <<'END'
*mangle
-A PREROUTING -m rpfilter --validmark --invert{loose} -j DROP
COMMIT
*filter
:INPUT ACCEPT [0:0]
:nixos-fw-accept - [0:0]
:nixos-fw - [0:0]
-A nixos-fw-accept -j ACCEPT
-A nixos-fw -i lo -j nixos-fw-accept
-A nixos-fw -m conntrack --ctstate ESTABLISHED,RELATED -j nixos-fw-accept
-A nixos-fw -p icmpv6 --icmpv6-type redirect -j DROP
-A nixos-fw -p icmpv6 --icmpv6-type 139 -j DROP
-A nixos-fw -p icmpv6 -j nixos-fw-accept
{rules6}
-A nixos-fw -j DROP
-A INPUT -j nixos-fw
COMMIT
END
"""

NFTABLES_RULES = """\
flush ruleset
table inet nixos-fw {{
  chain rpfilter {{
    type filter hook prerouting priority mangle + 10; policy drop;
    fib saddr . mark{iif} oif exists accept
  }}
  chain input {{
    type filter hook input priority filter; policy drop;
    iifname lo accept
    ct state {{ established, related }} accept
    icmp type echo-request accept
    icmpv6 type != {{ nd-redirect, 139 }} accept
{rules}
  }}
}}
"""

NETWORK = """\
[Match]
Name={name}

[Network]
LinkLocalAddressing=ipv6
IPv6AcceptRA=false
{addresses}
"""


@dataclass(frozen=True)
class File:
    data: bytes
    mode: int = 0o100644


class Files:
    """Files of one host by their path."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}

    def add(self, path: str, text: str | bytes, permissions: int = 0o644) -> None:
        data = text.encode() if isinstance(text, str) else text
        self.files[path] = File(data, 0o100000 | permissions)

    def link(self, path: str, target: str) -> None:
        self.files[path] = File(target.encode(), 0o120777)

    def enable(self, unit: str, target: str = "multi-user.target", home: str = UNITS) -> None:
        self.link(f"{UNITS}/{target}.wants/{unit}", f"{home}/{unit}")

    def archive(self, below: str) -> bytes:
        """Returns a cpio archive for the kernel, with all files below a folder."""
        entries: dict[str, File] = {}
        for path, file in sorted(self.files.items()):
            name = f"{below}{path}"
            for parent in reversed(Path(name).parents[:-1]):
                entries.setdefault(str(parent), File(b"", 0o040755))
            entries[name] = file
        entries["TRAILER!!!"] = File(b"", 0)
        return b"".join(
            entry(inode, name, file) for inode, (name, file) in enumerate(entries.items(), 1)
        )


def entry(inode: int, name: str, file: File) -> bytes:
    """One entry of the archive, in the format `newc`."""
    path = name.encode() + b"\0"
    numbers = [inode, file.mode, 0, 0, 1, 0, len(file.data), 0, 0, 0, 0, len(path), 0]
    header = b"070701" + b"".join(b"%08X" % number for number in numbers) + path
    return padded(header) + padded(file.data)


def padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def provision(story: str, name: str, host: dict[str, Any], vrrpd: Path) -> Files:
    files = Files()
    files.add("/etc/hostname", f"{name}\n")
    files.add("/etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n")
    for interface, network in host["interfaces"].items():
        addresses = "".join(f"Address={each}\n" for each in network["addresses"])
        files.add(
            f"/etc/systemd/network/{interface}.network",
            NETWORK.format(name=interface, addresses=addresses),
        )
    for path, file in host["files"].items():
        permissions = 0o644 if file["mode"] == "symlink" else int(file["mode"], 8)
        files.add(path, file["text"], permissions)
    for unit in ONESHOTS.get(story, []):
        files.add(f"{UNITS}/{unit}.service", ONESHOT)

    if host["firewall"] is not None:
        firewall(files, host)
    if host.get("package") and (package := debian.package()) is not None:
        files.add("/root/vrrpd.deb", package.read_bytes())
    if host["daemon"] is not None:
        daemon(files, host["daemon"], vrrpd)
    if host["httpd"]:
        files.add(f"{UNITS}/httpd.service", HTTPD_UNIT)
        files.add("/etc/httpd.conf", HTTPD_CONFIGURATION)
        files.enable("httpd.service")
    if host["modules"]:
        files.add(
            f"{UNITS}/modules.service", MODULES_UNIT.format(modules=" ".join(host["modules"]))
        )
        files.enable("modules.service")
    if host["keepalived"] is not None:
        files.add("/etc/keepalived/keepalived.conf", keepalived(host["keepalived"]))
        files.enable("keepalived.service", home="/usr/lib/systemd/system")
    return files


def daemon(files: Files, rendered: dict[str, Any], vrrpd: Path) -> None:
    files.add("/usr/local/sbin/vrrpd", vrrpd.read_bytes(), 0o755)
    files.add("/etc/vrrpd/config.json", json.dumps(rendered["config"], indent=2))
    for name, text in rendered["units"].items():
        files.add(f"{UNITS}/{name}", text)
    for unit in SYSTEMD.iterdir():
        files.add(f"{UNITS}/{unit.name}", unit.read_bytes())
    for target in rendered["wantedBy"]:
        files.enable("vrrp.service", target)
    for path, text in rendered["scripts"].items():
        files.add(path, text, 0o755)
    if rendered["polkit"]:
        files.add("/usr/share/polkit-1/rules.d/10-vrrp.rules", rendered["polkit"])


def keepalived(instances: dict[str, dict[str, Any]]) -> str:
    return "\n".join(
        f"vrrp_instance {name} {{\n"
        f"  interface {each['interface']}\n"
        f"  state BACKUP\n"
        f"  virtual_router_id {each['virtualRouterId']}\n"
        f"  priority {each['priority']}\n"
        f"  {each['extraConfig']}\n"
        f"  virtual_ipaddress {{\n    {' '.join(each['addresses'])}\n  }}\n"
        "}\n"
        for name, each in instances.items()
    )


def firewall(files: Files, host: dict[str, Any]) -> None:
    wanted = host["firewall"]
    loose = wanted["looseReversePath"]
    if wanted["nftables"]:
        rules = [f"tcp dport {port} accept" for port in wanted["tcpPorts"]]
        rules += wanted["extraInputRules"].splitlines()
        text = NFTABLES_RULES.format(
            rules="\n".join(f"    {rule}" for rule in rules),
            iif="" if loose else " . iif",
        )
        files.add("/etc/nftables.conf", text)
        files.enable("nftables.service", home="/usr/lib/systemd/system")
    else:
        both = [
            f"-A nixos-fw -p tcp --dport {port} -j nixos-fw-accept" for port in wanted["tcpPorts"]
        ]
        if host["keepalived"] is not None:
            # The rule of services.keepalived.openFirewall.
            both.append("-A nixos-fw -p 112 -j nixos-fw-accept")

        def rules_of(program: str) -> str:
            prefix = f"{program} -w "
            commands = [each for each in wanted["extraCommands"] if each.startswith(prefix)]
            return "\n".join([*both, *(each.removeprefix(prefix) for each in commands)])

        text = IPTABLES_SCRIPT.format(
            rules=rules_of("iptables"),
            rules6=rules_of("ip6tables"),
            loose=" --loose" if loose else "",
        )
        files.add("/usr/local/lib/firewall", text, 0o755)
        files.add(f"{UNITS}/firewall.service", IPTABLES_UNIT)
        files.enable("firewall.service")
