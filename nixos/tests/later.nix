# Newer NixOS options that the module uses: modules for those that the NixOS which evaluates the tests, given by
# the `options` of a host, does not have yet.
{ lib, options }:
let
  inherit (lib) mkOption types;

  firewall = options.networking.firewall;
  list =
    type:
    mkOption {
      type = types.listOf type;
      default = [ ];
    };
  port.options = {
    port = mkOption { type = types.port; };
    protocol = mkOption {
      type = types.enum [
        "tcp"
        "udp"
      ];
    };
  };
in
# Since NixOS 23.05.
lib.optional (!firewall ? extraReversePathFilterRules) {
  options.networking.firewall.extraReversePathFilterRules = mkOption {
    type = types.lines;
    default = "";
  };
}
# Since NixOS 26.05.
++ lib.optional (!firewall ? backend) (
  { config, ... }:
  {
    options.networking.firewall.backend = mkOption {
      type = types.enum [
        "firewalld"
        "iptables"
        "nftables"
      ];
      default = if config.networking.nftables.enable then "nftables" else "iptables";
    };
    options.services.firewalld = {
      settings.DefaultZone = mkOption {
        type = types.str;
        default = "nixos-fw-default";
      };
      zones = mkOption {
        type = types.attrsOf (
          types.submodule {
            options = {
              interfaces = list types.nonEmptyStr;
              ports = list (types.submodule port);
              protocols = list types.nonEmptyStr;
            };
          }
        );
        default = { };
      };
    };
  }
)
