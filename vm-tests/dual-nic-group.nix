# Experiment 2 as in dual-nic, and both instances in a sync group.
{ cluster, ... }:
let
  inherit (import ./dual-nic.nix { inherit cluster; }) nodes;
  group = {
    services.vrrp.syncGroups.VG_1.members = [
      "VI_1"
      "VI_2"
    ];
  };
in
{
  nodes = nodes // {
    master.imports = [
      nodes.master
      group
    ];
    backup.imports = [
      nodes.backup
      group
    ];
  };
}
