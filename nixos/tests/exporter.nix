# The unit of the exporter.
{ hosts, lib }:
let
  inherit (hosts) least monitored;

  unit = monitored.systemd.services.vrrp-exporter;
  service = unit.serviceConfig;
in
{
  testWithoutTheOptionThereIsNoExporter = {
    expr = {
      unit = least.systemd.services ? vrrp-exporter;
      ports = least.networking.firewall.allowedTCPPorts;
    };
    expected = {
      unit = false;
      ports = [ ];
    };
  };

  testTheExporterListensAtTheAddressAndPort = {
    expr = {
      command = lib.removePrefix "${monitored.services.vrrp.package}/bin/vrrpd " service.ExecStart;
      defaults = { inherit (least.services.vrrp.exporter) listenAddress port; };
    };
    expected = {
      command = "exporter --listen [::]:9999";
      defaults = {
        listenAddress = "127.0.0.1";
        port = 9650;
      };
    };
  };

  testTheFirewallAcceptsThePortOfTheExporter = {
    expr = monitored.networking.firewall.allowedTCPPorts;
    expected = [ 9999 ];
  };

  testTheExporterHasNoRights = {
    expr = {
      inherit (service)
        CapabilityBoundingSet
        DynamicUser
        NoNewPrivileges
        ProtectSystem
        RestrictAddressFamilies
        ;
      ambient = service ? AmbientCapabilities;
    };
    expected = {
      CapabilityBoundingSet = "";
      DynamicUser = true;
      NoNewPrivileges = true;
      ProtectSystem = "strict";
      RestrictAddressFamilies = [
        "AF_INET"
        "AF_INET6"
        "AF_UNIX"
      ];
      ambient = false;
    };
  };

  # The exporter has no effect on the daemon: neither at its start nor when it changes.
  testTheUnitOfTheDaemonIsTheSame = {
    expr = monitored.systemd.units."vrrp.service".text == least.systemd.units."vrrp.service".text;
    expected = true;
  };
}
