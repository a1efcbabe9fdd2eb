# Lets in advertisements and what tells of connections of IPVS, for whichever firewall the host has, and
# what is sent to a virtual MAC address.
{ config, lib, ... }:
let
  cfg = config.services.vrrp;
  inherit (config.networking) enableIPv6;

  instance = import ./instance.nix { inherit lib; };

  instances = lib.attrValues cfg.document.instances;

  # How each family is written, and the group that its advertisements go to.
  words = {
    IPv4 = {
      iptables = "iptables";
      advertisement = "ip protocol 112";
      address = "ip";
      group = "224.0.0.18";
    };
    IPv6 = {
      iptables = "ip6tables";
      advertisement = "meta nfproto ipv6 meta l4proto 112";
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

  # The kernel's sync thread hears of them by UDP.
  connections = lib.filter ({ family, ... }: family == "IPv4" || enableIPv6) (
    map (definition: {
      family = instance.family (lvs definition).group;
      interface = definition.lvsSyncInterface;
      destination = (lvs definition).group;
      inherit (lvs definition) port;
    }) (lib.filter (definition: definition ? lvsSyncInterface) instances)
  );
  lvs =
    definition:
    lib.mapAttrs (word: default: (definition.lvs or { }).${word} or default) {
      group = words'.group.default;
      port = words'.port.default;
    };
  words' = (lib.importJSON ../daemon/config/schema.json)."$defs".Lvs.properties;

  letIn = advertisements ++ connections;

  nftables =
    packets:
    let
      of = words.${packets.family};
      protocol = lib.optionalString (!packets ? port) " ${of.advertisement}";
      ends =
        lib.optionalString (packets ? source) " ${of.address} saddr ${packets.source}"
        + lib.optionalString (packets ? destination) " ${of.address} daddr ${packets.destination}"
        + lib.optionalString (packets ? port) " udp dport ${toString packets.port}";
    in
    ''
      iifname ${builtins.toJSON packets.interface}${protocol}${ends} accept comment "services.vrrp.openFirewall"
    '';

  iptables =
    verb: packets:
    "${
      words.${packets.family}.iptables
    } -w ${verb} nixos-fw -i ${lib.escapeShellArg packets.interface} "
    + (if packets ? port then "-p udp" else "-p 112")
    + lib.optionalString (packets ? source) " -s ${packets.source}"
    + lib.optionalString (packets ? destination) " -d ${packets.destination}"
    + lib.optionalString (packets ? port) " --dport ${toString packets.port}"
    + " -j nixos-fw-accept";
in
{
  config.networking.firewall = lib.mkIf cfg.enable (
    lib.mkMerge [
      # Packets come in on the interface with the virtual MAC address, the way back is by the one below.
      (lib.mkIf (lib.any instance.hasVirtualMac instances) { checkReversePath = lib.mkDefault "loose"; })
      (lib.mkIf (cfg.openFirewall && letIn != [ ]) (
        if config.networking.nftables.enable then
          { extraInputRules = lib.concatMapStrings nftables letIn; }
        else
          {
            extraCommands = lib.concatMapStrings (each: "${iptables "-A" each}\n") letIn;
            extraStopCommands = lib.concatMapStrings (
              each: "${iptables "-D" each} 2>/dev/null || true\n"
            ) letIn;
          }
      ))
    ]
  );
}
