# Lets in advertisements, for whichever firewall the host has, and what is sent to a virtual MAC
# address.
{ config, lib, ... }:
let
  cfg = config.services.vrrp;
  inherit (config.networking) enableIPv6;

  instance = import ./instance.nix { inherit lib; };

  instances = lib.attrValues (cfg.document.instances or { });

  # How each family is written, and the group that its advertisements go to.
  words = {
    IPv4 = {
      iptables = "iptables";
      protocol = "ip protocol 112";
      address = "ip";
      group = "224.0.0.18";
    };
    IPv6 = {
      iptables = "ip6tables";
      protocol = "meta nfproto ipv6 meta l4proto 112";
      address = "ip6";
      group = "ff02::12";
    };
  };

  # What has to be let in, each once: the family, the interface, and either end where it is known.
  advertisements = lib.unique (
    lib.concatMap (
      definition:
      map (packets: packets // { inherit (definition) interface; }) (
        lib.filter ({ family, ... }: family == "IPv4" || enableIPv6) (
          if definition ? unicast then
            instance.peers definition
          else
            map (family: {
              inherit family;
              destination = words.${family}.group;
            }) (instance.families definition)
        )
      )
    ) (lib.filter (definition: definition ? interface) instances)
  );

  nftables =
    packets:
    let
      of = words.${packets.family};
      ends =
        lib.optionalString (packets ? source) " ${of.address} saddr ${packets.source}"
        + lib.optionalString (packets ? destination) " ${of.address} daddr ${packets.destination}";
    in
    ''
      iifname ${builtins.toJSON packets.interface} ${of.protocol}${ends} accept comment "services.vrrp.openFirewall"
    '';

  iptables =
    verb: packets:
    "${words.${packets.family}.iptables} -w ${verb} nixos-fw -i ${lib.escapeShellArg packets.interface} -p 112"
    + lib.optionalString (packets ? source) " -s ${packets.source}"
    + lib.optionalString (packets ? destination) " -d ${packets.destination}"
    + " -j nixos-fw-accept";
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
