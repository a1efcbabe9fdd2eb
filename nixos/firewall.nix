# Rules that accept advertisements and the synchronisation of IPVS connections, for each firewall of NixOS,
# and packets to a virtual MAC address.
#
# A packet can be dropped in two places: by the reverse path filter, if its source is an address of a network
# behind another interface (`source`), and by the input filter.
{
  config,
  lib,
  options,
  ...
}:
let
  cfg = config.services.vrrp;
  inherit (config.networking) enableIPv6 firewall;

  # An option of NixOS since 26.05.
  backend =
    firewall.backend or (
      if config.services.firewalld.enable or false then
        "firewalld"
      else if config.networking.nftables.enable then
        "nftables"
      else
        "iptables"
    );

  instance = import ./instance.nix { inherit lib; };

  instances = lib.attrValues cfg.document.instances;

  # Rule syntax and multicast group of each address family.
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

  # Advertisements to accept, without duplicates: family, interface, and source or destination where known.
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

  # Synchronisation messages of IPVS connections, which the kernel sends by UDP.
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

  # The firewall also sees a packet that arrives on an interface of a VRF as one from the VRF device.
  letIn = lib.concatMap (
    packets:
    map (interface: packets // { inherit interface; }) (
      [ packets.interface ]
      ++ lib.optional (cfg.vrfs ? ${packets.interface}) cfg.vrfs.${packets.interface}
    )
  ) (advertisements ++ connections);

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

  # Both iptables rules, with the commands that add and remove them. The reverse path rule is inserted before
  # all others.
  iptables =
    packets:
    let
      matches =
        " -i ${lib.escapeShellArg packets.interface} "
        + (if packets ? port then "-p udp" else "-p 112")
        + lib.optionalString (packets ? source) " -s ${packets.source}"
        + lib.optionalString (packets ? destination) " -d ${packets.destination}"
        + lib.optionalString (packets ? port) " --dport ${toString packets.port}";
      rule = table: verb: chain: target: {
        add = "${words.${packets.family}.iptables} -w${table} ${verb} ${chain}${matches} -j ${target}\n";
        remove =
          "${words.${packets.family}.iptables} -w${table} -D ${chain}${matches} -j ${target} "
          + "2>/dev/null || true\n";
      };
    in
    [ (rule "" "-A" "nixos-fw" "nixos-fw-accept") ]
    # Without the reverse path filter NixOS creates no such chain.
    ++ lib.optional (firewall.checkReversePath != false) (
      rule " -t mangle" "-I" "nixos-fw-rpfilter" "RETURN"
    );
  iptablesRules = lib.concatMap iptables letIn;

  inherit (config.services) firewalld;
  # The zone of the NixOS options. Other zones belong to the administrator, and a definition here would
  # replace the zone of the same name in firewalld's package.
  zone = "nixos-fw-default";
  opensZone = firewall.enable && firewalld.settings.DefaultZone == zone;
  isConcerned = { interfaces, ... }: lib.any (packets: lib.elem packets.interface interfaces) letIn;
  otherZones = lib.attrNames (
    lib.filterAttrs (name: definition: name != zone && isConcerned definition) firewalld.zones
  );
  isOpen = name: lib.elem "vrrp" firewalld.zones.${name}.protocols or [ ];
  closedZones = lib.filter (name: !isOpen name) (
    otherZones ++ lib.optional (!opensZone) firewalld.settings.DefaultZone
  );

  # Instances whose backup takes over during a reload of the iptables firewall, which drops all packets for
  # 0.6 s, so that there are two masters. With `trustWire` the packets that arrive withhold the take-over.
  isHasty =
    definition:
    let
      interval = instance.seconds (definition.advertInterval or 1);
    in
    !(definition.trustWire or true) && interval != null && interval < 1;
  hasty = lib.attrNames (lib.filterAttrs (_: isHasty) cfg.document.instances);

  opens = name: lib.mkIf (cfg.openFirewall && letIn != [ ] && backend == name);
in
{
  config = lib.mkIf cfg.enable (
    lib.mkMerge [
      # Packets arrive on the interface with the virtual MAC address, replies leave through the interface
      # below it.
      (lib.mkIf (lib.any instance.hasVirtualMac instances) {
        networking.firewall.checkReversePath = lib.mkDefault "loose";
      })

      (lib.mkIf (firewall.enable && backend == "iptables") {
        warnings = map (
          name:
          "services.vrrp.instances.${lib.showOption [ name ]}.advertInterval is below 1 s, trustWire is false, "
          + "and a reload of the iptables firewall drops all packets for about 0.6 s, so that two hosts are briefly "
          + "master: set trustWire to true, or networking.nftables.enable, which replaces its rules atomically."
        ) hasty;
      })

      (opens "iptables" {
        networking.firewall = {
          extraCommands = lib.concatMapStrings (rule: rule.add) iptablesRules;
          extraStopCommands = lib.concatMapStrings (rule: rule.remove) iptablesRules;
        };
      })

      (opens "nftables" {
        networking.firewall = {
          extraInputRules = lib.concatMapStrings nftables letIn;
        }
        # An option of NixOS since 23.05.
        // lib.optionalAttrs (options.networking.firewall ? extraReversePathFilterRules) {
          extraReversePathFilterRules = lib.concatMapStrings nftables letIn;
        };
      })

      (lib.optionalAttrs (options.services ? firewalld) (
        opens "firewalld" {
          services.firewalld.zones = lib.mkIf opensZone {
            ${zone} = {
              protocols = [ "vrrp" ];
              ports = map (
                { port, ... }:
                {
                  inherit port;
                  protocol = "udp";
                }
              ) connections;
            };
          };
          assertions = map (name: {
            assertion = false;
            message =
              "services.vrrp.openFirewall does not change firewalld's zone \"${name}\": "
              + "set services.firewalld.zones.${lib.showOption [ name ]}.protocols = [ \"vrrp\" ].";
          }) closedZones;
        }
      ))
    ]
  );
}
