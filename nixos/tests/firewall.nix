# Both firewalls.
{ hosts, lib }:
let
  inherit (hosts) least most nftables;
in
{
  testIptablesLetsAdvertisementsInOnTheInterfacesOfInstances = {
    expr = lib.filter (lib.hasInfix "-p 112") (
      lib.splitString "\n" most.networking.firewall.extraCommands
    );
    expected = [
      "iptables -w -A nixos-fw -i eth2 -p 112 -d 224.0.0.18/32 -j nixos-fw-accept"
      "iptables -w -A nixos-fw -i eth1 -p 112 -d 224.0.0.18/32 -j nixos-fw-accept"
    ];
  };

  testIptablesTakesTheRulesAwayAgain = {
    expr = lib.filter (lib.hasInfix "-p 112") (
      lib.splitString "\n" most.networking.firewall.extraStopCommands
    );
    expected = [
      "iptables -w -D nixos-fw -i eth2 -p 112 -d 224.0.0.18/32 -j nixos-fw-accept 2>/dev/null || true"
      "iptables -w -D nixos-fw -i eth1 -p 112 -d 224.0.0.18/32 -j nixos-fw-accept 2>/dev/null || true"
    ];
  };

  testNftablesLetsAdvertisementsInOnTheInterfacesOfInstances = {
    expr = nftables.networking.firewall.extraInputRules;
    expected = ''
      iifname { "eth1", "eth2" } ip protocol 112 ip daddr 224.0.0.18 accept comment "services.vrrp.openFirewall"
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
