# Effect of `nixos-rebuild switch` on a running daemon: each change is a specialisation.
{ lib, vrrpd, ... }:
let
  network = import ./network.nix;

  router = host: priority: {
    imports = [ (network.front host) ];
    services.vrrp = {
      enable = true;
      openFirewall = true;
      instances.VI_1 = {
        inherit priority;
        interface = "eth1";
        virtualRouterId = 51;
        virtualAddresses = lib.mkDefault [ "192.168.224.100/24" ];
      };
    };
  };
in
{
  nodes = {
    master = {
      imports = [ (router 11 (lib.mkDefault 150)) ];

      specialisation = {
        address-added.configuration.services.vrrp.instances.VI_1.virtualAddresses = [
          "192.168.224.100/24"
          "192.168.224.101/24"
        ];
        priority-changed.configuration.services.vrrp.instances.VI_1.priority = 200;
        # The same program, in another package.
        package-changed.configuration =
          { pkgs, ... }:
          {
            services.vrrp.package = pkgs.runCommand "vrrpd-next" { meta.mainProgram = "vrrpd"; } ''
              mkdir --parents $out/bin
              cp ${lib.getExe vrrpd} $out/bin/vrrpd
            '';
          };
      };
    };
    backup = router 12 100;
  };
}
