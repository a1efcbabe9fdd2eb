# Keeps DHCP clients off the interfaces of virtual MAC addresses. Otherwise each take-over would give these
# interfaces leases and default routes.
{ config, lib, ... }:
let
  cfg = config.services.vrrp;

  inherit (import ./instance.nix { inherit lib; }) devices hasVirtualMac;

  instances = lib.attrValues cfg.document.instances;
in
{
  config = lib.mkIf (cfg.enable && lib.any hasVirtualMac instances) {
    networking.dhcpcd.denyInterfaces = devices;
    networking.networkmanager.unmanaged = map (pattern: "interface-name:${pattern}") devices;
  };
}
