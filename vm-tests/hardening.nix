# Rights of the daemon and its scripts, and protection of the password.
{ lib, pkgs, ... }:
let
  network = import ./network.nix;

  service = {
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      ExecStart = "${pkgs.coreutils}/bin/true";
    };
  };
in
{
  nodes.master = {
    imports = [ (network.front 11) ];

    systemd.services = {
      managed = service;
      foreign = service;
      # The test script starts the unit, after it has written the password.
      vrrp.wantedBy = lib.mkForce [ ];
    };

    services.vrrp = {
      enable = true;
      realtime = true;
      trackers.rights.script = {
        command = [ "${./hardening/rights.sh}" ];
        mayManage = [ "managed.service" ];
      };
      instances.VI_1 = {
        interface = "eth1";
        virtualRouterId = 51;
        version = 2;
        authentication.pass.passwordFile = "/var/lib/vrrp-password";
        track = [ "rights" ];
        virtualAddresses = [ "192.168.224.100/24" ];
      };
    };
  };
}
