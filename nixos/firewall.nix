# Lets in advertisements, for whichever firewall the host has, and what is sent to a virtual MAC
# address.
{ config, lib, ... }:
let
  cfg = config.services.vrrp;
  inherit (config.networking) enableIPv6;

  instance = import ./instance.nix { inherit lib; };

  instances = lib.attrValues (cfg.document.instances or { });

  # How each family is written, and where its advertisements go.
  words = {
    IPv4 = {
      iptables = "iptables";
      nftables = "ip protocol 112 ip daddr";
      group = "224.0.0.18";
    };
    IPv6 = {
      iptables = "ip6tables";
      nftables = "meta l4proto 112 ip6 daddr";
      group = "ff02::12";
    };
  };

  # What has to be let in, each once.
  advertisements = lib.unique (
    lib.concatMap (
      definition:
      map (family: {
        inherit family;
        inherit (definition) interface;
      }) (lib.filter (family: family == "IPv4" || enableIPv6) (instance.families definition))
    ) (lib.filter (definition: definition ? interface) instances)
  );

  nftables =
    { family, interface }:
    let
      of = words.${family};
    in
    ''
      iifname ${builtins.toJSON interface} ${of.nftables} ${of.group} accept comment "services.vrrp.openFirewall"
    '';

  iptables =
    verb:
    { family, interface }:
    let
      of = words.${family};
    in
    "${of.iptables} -w ${verb} nixos-fw -i ${lib.escapeShellArg interface} "
    + "-p 112 -d ${of.group} -j nixos-fw-accept";
in
{
  config.networking.firewall = lib.mkIf cfg.enable (
    lib.mkMerge [
      # Packets come in on the interface with the virtual MAC address, the way back is by the one below.
      (lib.mkIf (lib.any instance.hasVirtualMac instances) { checkReversePath = lib.mkDefault "loose"; })
      (lib.mkIf (cfg.openFirewall && advertisements != [ ]) (
        if config.networking.nftables.enable then
          { extraInputRules = lib.concatMapStrings nftables advertisements; }
        else
          {
            extraCommands = lib.concatMapStrings (each: "${iptables "-A" each}\n") advertisements;
            extraStopCommands = lib.concatMapStrings (
              each: "${iptables "-D" each} 2>/dev/null || true\n"
            ) advertisements;
          }
      ))
    ]
  );
}
