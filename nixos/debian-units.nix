# The units of the Debian package (debian/*.service and *.socket): those of service.nix and scripts.nix, so that both
# have the same hardening, without paths of the Nix store. vm-tests/qemu/render writes the files.
{ lib, host }:
let
  # The service manager of Debian sets PATH. NixOS alone knows settings with X-.
  isPortable = line: line != "" && !lib.hasPrefix "Environment=" line && !lib.hasPrefix "X-" line;

  sections =
    unit:
    lib.concatMapStringsSep "\n" (
      line:
      if line == "[Unit]" then
        "[Unit]\nConditionPathExists=/etc/vrrpd/config.json"
      else if lib.hasPrefix "[" line then
        "\n${line}"
      else
        line
    ) (lib.filter isPortable (lib.splitString "\n" host.systemd.units.${unit}.text));

  written =
    unit: end:
    builtins.unsafeDiscardStringContext ''
      # Written by vm-tests/qemu/render from the NixOS module.
      ${
        lib.replaceStrings [ (lib.getExe host.services.vrrp.package) ] [ "/usr/sbin/vrrpd" ] (sections unit)
      }${end}
    '';
in
{
  "vrrpd.vrrp.service" = written "vrrp.service" ''


    [Install]
    WantedBy=multi-user.target'';
  # The first unit starts both of these.
  "vrrp-scripts.service" = written "vrrp-scripts.service" "";
  "vrrp-scripts.socket" = written "vrrp-scripts.socket" "";
}
