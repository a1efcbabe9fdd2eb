# Both firewalls.
{ hosts, lib }:
let
  inherit (hosts)
    least
    most
    nftables
    unicast
    unicastNftables
    whole
    withoutIpv6
    ;

  rules = lines: lib.filter (lib.hasInfix "-p 112") (lib.splitString "\n" lines);
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
    expr = lib.filter (lib.hasInfix "-p udp") (
      lib.splitString "\n" (
        most.networking.firewall.extraCommands + most.networking.firewall.extraStopCommands
      )
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

  # What is sent to it comes in on another interface than the one by which the way back is.
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
