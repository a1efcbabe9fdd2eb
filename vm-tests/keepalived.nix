# vrrpd and keepalived share addresses, in both versions of the protocol. In each version vrrpd has the
# higher priority for one address, and keepalived for another.
{ lib, ... }:
let
  network = import ./network.nix;

  shared = {
    v2_ours = {
      version = 2;
      virtualRouterId = 51;
    };
    v2_theirs = {
      version = 2;
      virtualRouterId = 52;
    };
    v3_ours = {
      version = 3;
      virtualRouterId = 53;
    };
    v3_theirs = {
      version = 3;
      virtualRouterId = 54;
    };
  };

  address = { virtualRouterId, ... }: "192.168.224.1${toString virtualRouterId}/24";
  preferred = kind: name: if lib.hasSuffix kind name then 150 else 100;
in
{
  nodes = {
    master = {
      imports = [ (network.front 11) ];

      environment.etc."vrrp-password" = {
        text = "1111";
        mode = "0400";
      };

      services.vrrp = {
        enable = true;
        openFirewall = true;
        instances = lib.mapAttrs (
          name: router:
          router
          // {
            interface = "eth1";
            priority = preferred "ours" name;
            virtualAddresses = [ (address router) ];
          }
          // lib.optionalAttrs (router.version == 2) {
            authentication.pass.passwordFile = "/etc/vrrp-password";
          }
        ) shared;
      };
    };

    backup = {
      imports = [ (network.front 12) ];

      services.keepalived = {
        enable = true;
        openFirewall = true;
        vrrpInstances = lib.mapAttrs (name: router: {
          interface = "eth1";
          inherit (router) virtualRouterId;
          priority = preferred "theirs" name;
          virtualIps = [ { addr = address router; } ];
          extraConfig = ''
            version ${toString router.version}
            advert_int 1
            ${lib.optionalString (router.version == 2) ''
              authentication {
                auth_type PASS
                auth_pass 1111
              }
            ''}
          '';
        }) shared;
      };
    };
  };
}
