# Both firewalls.
{ hosts, lib }:
let
  inherit (hosts)
    firewalld
    firewalldZones
    hasty
    hastyNftables
    least
    most
    nftables
    unicast
    unicastNftables
    vrf
    vrfNftables
    whole
    withoutIpv6
    withoutReversePaths
    ;

  linesWith = part: lines: lib.filter (line: lib.hasInfix part line) (lib.splitString "\n" lines);
  complaints =
    host:
    map (assertion: assertion.message) (
      lib.filter (
        assertion: !assertion.assertion && lib.hasInfix "services.vrrp" assertion.message
      ) host.assertions
    );
  isMangle = lib.hasInfix "-t mangle";
  # Rules of input, and rules of the filter of reverse paths before them.
  rules = lines: lib.filter (line: !isMangle line) (linesWith "-p 112" lines);
  reversePathRules = linesWith "nixos-fw-rpfilter -i";
in
{
  testIptablesLetsAdvertisementsInOnTheInterfacesOfInstances = {
    expr = rules most.networking.firewall.extraCommands;
    expected = [
      "iptables -w -A nixos-fw -i eth2 -p 112 -d 224.0.0.18 -j nixos-fw-accept"
      "iptables -w -A nixos-fw -i eth1 -p 112 -d 224.0.0.18 -j nixos-fw-accept"
    ];
  };

  testIptablesLetsInWhatTellsOfConnectionsOfIpvs = {
    expr = linesWith "nixos-fw -i eth2 -p udp" (
      most.networking.firewall.extraCommands + most.networking.firewall.extraStopCommands
    );
    expected = [
      "iptables -w -A nixos-fw -i eth2 -p udp -d 224.0.0.81 --dport 8849 -j nixos-fw-accept"
      "iptables -w -D nixos-fw -i eth2 -p udp -d 224.0.0.81 --dport 8849 -j nixos-fw-accept 2>/dev/null || true"
    ];
  };

  testIptablesTakesTheRulesAwayAgain = {
    expr = rules most.networking.firewall.extraStopCommands;
    expected = [
      "iptables -w -D nixos-fw -i eth2 -p 112 -d 224.0.0.18 -j nixos-fw-accept 2>/dev/null || true"
      "iptables -w -D nixos-fw -i eth1 -p 112 -d 224.0.0.18 -j nixos-fw-accept 2>/dev/null || true"
    ];
  };

  testIptablesLetsInWhatAnInstanceHasAddressesOf = {
    expr = rules whole.networking.firewall.extraCommands;
    expected = [
      "iptables -w -A nixos-fw -i eth1 -p 112 -d 224.0.0.18 -j nixos-fw-accept"
      "ip6tables -w -A nixos-fw -i eth1 -p 112 -d ff02::12 -j nixos-fw-accept"
      "ip6tables -w -A nixos-fw -i eth2 -p 112 -d ff02::12 -j nixos-fw-accept"
    ];
  };

  testIptablesLetsInThePeersOfWhoSpeaksWithThemOnly = {
    expr = rules unicast.networking.firewall.extraCommands;
    expected = [
      "iptables -w -A nixos-fw -i eth1 -p 112 -s 192.168.224.11 -j nixos-fw-accept"
      "ip6tables -w -A nixos-fw -i eth1 -p 112 -s fe80::12 -j nixos-fw-accept"
      "ip6tables -w -A nixos-fw -i eth2 -p 112 -j nixos-fw-accept"
    ];
  };

  testNftablesLetsInThePeersOfWhoSpeaksWithThemOnly = {
    expr = unicastNftables.networking.firewall.extraInputRules;
    expected = ''
      iifname "eth1" ip protocol 112 ip saddr 192.168.224.11 accept comment "services.vrrp.openFirewall"
      iifname "eth1" meta nfproto ipv6 meta l4proto 112 ip6 saddr fe80::12 accept comment "services.vrrp.openFirewall"
      iifname "eth2" meta nfproto ipv6 meta l4proto 112 accept comment "services.vrrp.openFirewall"
    '';
  };

  # There is no chain for it.
  testIptablesHasNoRuleOfIpv6OnAHostWithout = {
    expr = rules withoutIpv6.networking.firewall.extraCommands;
    expected = [ "iptables -w -A nixos-fw -i eth1 -p 112 -d 224.0.0.18 -j nixos-fw-accept" ];
  };

  # Packets to it come in on another interface than the one by which the way back is.
  testAVirtualMacAddressIsNoReasonToDropPackets = {
    expr = map (host: host.networking.firewall.checkReversePath == "loose") [
      whole
      least
      withoutIpv6
    ];
    expected = [
      true
      false
      false
    ];
  };

  testNftablesLetsInAdvertisementsAndWhatTellsOfConnectionsOnTheirInterfaces = {
    expr = nftables.networking.firewall.extraInputRules;
    expected = ''
      iifname "eth1" ip protocol 112 ip daddr 224.0.0.18 accept comment "services.vrrp.openFirewall"
      iifname "eth2" ip protocol 112 ip daddr 224.0.0.18 accept comment "services.vrrp.openFirewall"
      iifname "eth2" meta nfproto ipv6 meta l4proto 112 ip6 daddr ff02::12 accept comment "services.vrrp.openFirewall"
      iifname "eth1" ip6 daddr ff02::51 udp dport 8848 accept comment "services.vrrp.openFirewall"
    '';
  };

  # The source may be an address of another interface: that filter comes before all rules of input.
  testIptablesLetsEverythingPassTheFilterOfReversePaths = {
    expr = map (host: reversePathRules host.networking.firewall.extraCommands) [
      most
      unicast
      withoutIpv6
    ];
    expected = [
      [
        "iptables -w -t mangle -I nixos-fw-rpfilter -i eth2 -p 112 -d 224.0.0.18 -j RETURN"
        "iptables -w -t mangle -I nixos-fw-rpfilter -i eth1 -p 112 -d 224.0.0.18 -j RETURN"
        "iptables -w -t mangle -I nixos-fw-rpfilter -i eth2 -p udp -d 224.0.0.81 --dport 8849 -j RETURN"
      ]
      [
        "iptables -w -t mangle -I nixos-fw-rpfilter -i eth1 -p 112 -s 192.168.224.11 -j RETURN"
        "ip6tables -w -t mangle -I nixos-fw-rpfilter -i eth1 -p 112 -s fe80::12 -j RETURN"
        "ip6tables -w -t mangle -I nixos-fw-rpfilter -i eth2 -p 112 -j RETURN"
      ]
      [ "iptables -w -t mangle -I nixos-fw-rpfilter -i eth1 -p 112 -d 224.0.0.18 -j RETURN" ]
    ];
  };

  testIptablesTakesTheRulesForReversePathsAwayAgain = {
    expr = reversePathRules withoutIpv6.networking.firewall.extraStopCommands;
    expected = [
      "iptables -w -t mangle -D nixos-fw-rpfilter -i eth1 -p 112 -d 224.0.0.18 -j RETURN 2>/dev/null || true"
    ];
  };

  testNftablesLetsTheSamePassTheFilterOfReversePaths = {
    expr =
      map
        (
          host:
          host.networking.firewall.extraReversePathFilterRules == host.networking.firewall.extraInputRules
          && host.networking.firewall.extraInputRules != ""
        )
        [
          nftables
          unicastNftables
          vrfNftables
        ];
    expected = [
      true
      true
      true
    ];
  };

  # NixOS has no such chain then.
  testWithoutAFilterOfReversePathsThereIsNoRuleForIt = {
    expr = linesWith "mangle" withoutReversePaths.networking.firewall.extraCommands;
    expected = [ ];
  };

  testTheDeviceOfAVrfIsOpenToo = {
    expr = {
      iptables = linesWith "-p 112" vrf.networking.firewall.extraCommands;
      nftables = vrfNftables.networking.firewall.extraInputRules;
    };
    expected = {
      iptables = [
        "iptables -w -A nixos-fw -i eth1 -p 112 -d 224.0.0.18 -j nixos-fw-accept"
        "iptables -w -t mangle -I nixos-fw-rpfilter -i eth1 -p 112 -d 224.0.0.18 -j RETURN"
        "iptables -w -A nixos-fw -i blue -p 112 -d 224.0.0.18 -j nixos-fw-accept"
        "iptables -w -t mangle -I nixos-fw-rpfilter -i blue -p 112 -d 224.0.0.18 -j RETURN"
      ];
      nftables = ''
        iifname "eth1" ip protocol 112 ip daddr 224.0.0.18 accept comment "services.vrrp.openFirewall"
        iifname "blue" ip protocol 112 ip daddr 224.0.0.18 accept comment "services.vrrp.openFirewall"
      '';
    };
  };

  testFirewalldOpensTheZoneOfNixos = {
    expr = {
      inherit (firewalld.services.firewalld.zones.nixos-fw-default) ports protocols;
      input = firewalld.networking.firewall.extraInputRules;
      complaints = complaints firewalld;
    };
    expected = {
      ports = [
        {
          port = 8848;
          protocol = "udp";
        }
      ];
      protocols = [ "vrrp" ];
      input = "";
      complaints = [ ];
    };
  };

  testFirewalldLeavesZonesOfTheAdministratorAndSaysWhatToDo = {
    expr = {
      zones = firewalldZones.services.firewalld.zones ? nixos-fw-default;
      complaints = complaints firewalldZones;
    };
    expected = {
      zones = false;
      complaints = [
        (
          "services.vrrp.openFirewall leaves firewalld's zone \"outside\" as it is: "
          + "set services.firewalld.zones.outside.protocols = [ \"vrrp\" ]."
        )
        (
          "services.vrrp.openFirewall leaves firewalld's zone \"public\" as it is: "
          + "set services.firewalld.zones.public.protocols = [ \"vrrp\" ]."
        )
      ];
    };
  };

  testIntervalsThatAReloadOfIptablesIsLongerThanAreWarnedOf = {
    expr = lib.mapAttrs (_: host: lib.filter (lib.hasInfix "services.vrrp") host.warnings) {
      inherit hasty hastyNftables;
    };
    expected = {
      hasty =
        map
          (
            name:
            "services.vrrp.instances.${name}.advertInterval is below 1 s, and a reload of the iptables firewall "
            + "drops all packets for about 0.6 s, so that there are two masters for a moment: "
            + "set networking.nftables.enable = true, which changes its rules without a gap."
          )
          [
            "eth1"
            "eth2"
            "eth3"
          ];
      hastyNftables = [ ];
    };
  };

  # Each take-over would bring leases and default routes otherwise.
  testDhcpClientsLeaveTheInterfacesOfVirtualMacAddressesAlone = {
    expr = lib.mapAttrs (_: host: {
      dhcpcd = lib.filter (lib.hasPrefix "vrrp") host.networking.dhcpcd.denyInterfaces;
      networkmanager = host.networking.networkmanager.unmanaged;
    }) { inherit least whole; };
    expected = {
      least = {
        dhcpcd = [ ];
        networkmanager = [ ];
      };
      whole = {
        dhcpcd = [ "vrrp*" ];
        networkmanager = [ "interface-name:vrrp*" ];
      };
    };
  };

  testNftablesHasNoRulesOfIptables = {
    expr = lib.hasInfix "-p 112" nftables.networking.firewall.extraCommands;
    expected = false;
  };

  testTheFirewallIsClosedUnlessAskedFor = {
    expr = {
      iptables = lib.hasInfix "-p 112" least.networking.firewall.extraCommands;
      nftables = least.networking.firewall.extraInputRules;
    };
    expected = {
      iptables = false;
      nftables = "";
    };
  };
}
