# The unit of the Debian package (debian/vrrpd.vrrp.service): that of service.nix, so that both have the same
# hardening, without paths of the Nix store. vm-tests/qemu/render writes the file.
{ lib, host }:
let
  unit = host.systemd.units."vrrp.service".text;

  # The service manager of Debian sets PATH. NixOS alone knows settings with X-.
  isPortable = line: line != "" && !lib.hasPrefix "Environment=" line && !lib.hasPrefix "X-" line;

  lines = lib.filter isPortable (lib.splitString "\n" unit);

  sections = lib.concatMapStringsSep "\n" (
    line:
    if line == "[Unit]" then
      "[Unit]\nConditionPathExists=/etc/vrrpd/config.json"
    else if lib.hasPrefix "[" line then
      "\n${line}"
    else
      line
  ) lines;
in
builtins.unsafeDiscardStringContext ''
  # Written by vm-tests/qemu/render from nixos/service.nix.
  ${lib.replaceStrings [ (lib.getExe host.services.vrrp.package) ] [ "/usr/sbin/vrrpd" ] sections}

  [Install]
  WantedBy=multi-user.target
''
