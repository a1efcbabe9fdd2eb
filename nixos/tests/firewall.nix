# The rules of each firewall.
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
  # Rules of the input filter, and of the reverse path filter, which runs before it.
  rules = lines: lib.filter (line: !isMangle line) (linesWith "-p 112" lines);
  reversePathRules = linesWith "nixos-fw-rpfilter -i";
in
{
  testIptablesAcceptsAdvertisementsOnInstanceInterfaces = {
    expr = rules most.networking.firewall.extraCommands;
    expected = [
      "iptables -w -A nixos-fw -i eth2 -p 112 -d 224.0.0.18 -j nixos-fw-accept"
      "iptables -w -A nixos-fw -i eth1 -p 112 -d 224.0.0.18 -j nixos-fw-accept"
    ];
  };

  testIptablesAcceptsIpvsSynchronisation = {
    expr = linesWith "nixos-fw -i eth2 -p udp" (
      most.networking.firewall.extraCommands + most.networking.firewall.extraStopCommands
    );
    expected = [
      "iptables -w -A nixos-fw -i eth2 -p udp -d 224.0.0.81 --dport 8849 -j nixos-fw-accept"
      "iptables -w -D nixos-fw -i eth2 -p udp -d 224.0.0.81 --dport 8849 -j nixos-fw-accept 2>/dev/null || true"
    ];
  };

  testIptablesRemovesItsRules = {
    expr = rules most.networking.firewall.extraStopCommands;
    expected = [
      "iptables -w -D nixos-fw -i eth2 -p 112 -d 224.0.0.18 -j nixos-fw-accept 2>/dev/null || true"
      "iptables -w -D nixos-fw -i eth1 -p 112 -d 224.0.0.18 -j nixos-fw-accept 2>/dev/null || true"
    ];
  };

  # An address that is not advertised has no advertisements of its family.
  testIptablesAcceptsFamiliesOfAdvertisedAddresses = {
    expr = rules whole.networking.firewall.extraCommands;
    expected = [
      "iptables -w -A nixos-fw -i eth1 -p 112 -d 224.0.0.18 -j nixos-fw-accept"
      "ip6tables -w -A nixos-fw -i eth2 -p 112 -d ff02::12 -j nixos-fw-accept"
    ];
  };

  testIptablesAcceptsUnicastPeers = {
    expr = rules unicast.networking.firewall.extraCommands;
    expected = [
      "iptables -w -A nixos-fw -i eth1 -p 112 -s 192.168.224.11 -j nixos-fw-accept"
      "ip6tables -w -A nixos-fw -i eth1 -p 112 -s fe80::12 -j nixos-fw-accept"
      "ip6tables -w -A nixos-fw -i eth2 -p 112 -j nixos-fw-accept"
    ];
  };

  testNftablesAcceptsUnicastPeers = {
    expr = unicastNftables.networking.firewall.extraInputRules;
    expected = ''
      iifname "eth1" ip protocol 112 ip saddr 192.168.224.11 accept comment "services.vrrp.openFirewall"
      iifname "eth1" meta nfproto ipv6 meta l4proto 112 ip6 saddr fe80::12 accept comment "services.vrrp.openFirewall"
      iifname "eth2" meta nfproto ipv6 meta l4proto 112 accept comment "services.vrrp.openFirewall"
    '';
  };

  # NixOS creates no ip6tables chain without IPv6.
  testIptablesHasNoIpv6RuleWithoutIpv6 = {
    expr = rules withoutIpv6.networking.firewall.extraCommands;
    expected = [ "iptables -w -A nixos-fw -i eth1 -p 112 -d 224.0.0.18 -j nixos-fw-accept" ];
  };

  # Packets arrive on the macvlan interface, and replies leave through the interface below it.
  testAVirtualMacLoosensTheReversePathFilter = {
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

  testNftablesAcceptsAdvertisementsAndIpvsSynchronisation = {
    expr = nftables.networking.firewall.extraInputRules;
    expected = ''
      iifname "eth1" ip protocol 112 ip daddr 224.0.0.18 accept comment "services.vrrp.openFirewall"
      iifname "eth2" ip protocol 112 ip daddr 224.0.0.18 accept comment "services.vrrp.openFirewall"
      iifname "eth2" meta nfproto ipv6 meta l4proto 112 ip6 daddr ff02::12 accept comment "services.vrrp.openFirewall"
      iifname "eth1" ip6 daddr ff02::51 udp dport 8848 accept comment "services.vrrp.openFirewall"
    '';
  };

  # The source may be an address of another interface, and the reverse path filter runs before the input rules.
  testIptablesExceptsItsPacketsFromTheReversePathFilter = {
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

  testIptablesRemovesItsReversePathRules = {
    expr = reversePathRules withoutIpv6.networking.firewall.extraStopCommands;
    expected = [
      "iptables -w -t mangle -D nixos-fw-rpfilter -i eth1 -p 112 -d 224.0.0.18 -j RETURN 2>/dev/null || true"
    ];
  };

  testNftablesExceptsItsPacketsFromTheReversePathFilter = {
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

  # NixOS creates no chain for it.
  testNoReversePathFilterMeansNoReversePathRule = {
    expr = linesWith "mangle" withoutReversePaths.networking.firewall.extraCommands;
    expected = [ ];
  };

  testPacketsFromAVrfDeviceAreAccepted = {
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

  testFirewalldOpensTheNixosZone = {
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

  testFirewalldZonesOfTheAdministratorFailAnAssertion = {
    expr = {
      zones = firewalldZones.services.firewalld.zones ? nixos-fw-default;
      complaints = complaints firewalldZones;
    };
    expected = {
      zones = false;
      complaints = [
        (
          "services.vrrp.openFirewall does not change firewalld's zone \"outside\": "
          + "set services.firewalld.zones.outside.protocols = [ \"vrrp\" ]."
        )
        (
          "services.vrrp.openFirewall does not change firewalld's zone \"public\": "
          + "set services.firewalld.zones.public.protocols = [ \"vrrp\" ]."
        )
      ];
    };
  };

  testIntervalsShorterThanAnIptablesReloadAreAWarning = {
    expr = lib.mapAttrs (_: host: lib.filter (lib.hasInfix "services.vrrp") host.warnings) {
      inherit hasty hastyNftables;
    };
    expected = {
      hasty =
        map
          (
            name:
            "services.vrrp.instances.${name}.advertInterval is below 1 s, trustWire is false, and a reload of "
            + "the iptables firewall drops all packets for about 0.6 s, so that two hosts are briefly master: "
            + "set trustWire to true, or networking.nftables.enable, which replaces its rules atomically."
          )
          [
            "eth1"
            "eth2"
            "eth3"
          ];
      hastyNftables = [ ];
    };
  };

  # Otherwise each take-over would add leases and default routes.
  testDhcpClientsIgnoreVirtualMacInterfaces = {
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

  testNftablesHasNoIptablesRules = {
    expr = lib.hasInfix "-p 112" nftables.networking.firewall.extraCommands;
    expected = false;
  };

  testTheFirewallIsClosedByDefault = {
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
