# Keeps DHCP clients off the interfaces of virtual MAC addresses: each take-over would give them leases and
# default routes of their own.
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
