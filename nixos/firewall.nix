# Lets advertisements in, for whichever firewall the host has.
{ config, lib, ... }:
let
  cfg = config.services.vrrp;

  interfaces = lib.unique (lib.catAttrs "interface" (lib.attrValues (cfg.document.instances or { })));

  rule = interface: "-i ${lib.escapeShellArg interface} -p 112 -d 224.0.0.18/32 -j nixos-fw-accept";
in
{
  config.networking.firewall = lib.mkIf (cfg.enable && cfg.openFirewall && interfaces != [ ]) (
    if config.networking.nftables.enable then
      {
        extraInputRules = ''
          iifname { ${
            lib.concatMapStringsSep ", " builtins.toJSON interfaces
          } } ip protocol 112 ip daddr 224.0.0.18 accept comment "services.vrrp.openFirewall"
        '';
      }
    else
      {
        extraCommands = lib.concatMapStrings (interface: ''
          iptables -w -A nixos-fw ${rule interface}
        '') interfaces;
        extraStopCommands = lib.concatMapStrings (interface: ''
          iptables -w -D nixos-fw ${rule interface} 2>/dev/null || true
        '') interfaces;
      }
  );
}
