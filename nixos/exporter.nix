# The unit of `vrrpd exporter`, which serves the state of the daemon as metrics of Prometheus.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;

  cfg = config.services.vrrp;

  inherit (cfg.exporter) listenAddress port;

  # The daemon writes an IPv6 address with its port in brackets.
  address = if lib.hasInfix ":" listenAddress then "[${listenAddress}]" else listenAddress;
in
{
  options.services.vrrp.exporter = {
    enable =
      lib.mkEnableOption "the exporter, which serves the state of the daemon as metrics of Prometheus"
      // {
        example = true;
      };

    listenAddress = mkOption {
      type = types.str;
      default = "127.0.0.1";
      example = "::";
      description = ''
        Address of this host at which the exporter listens: "0.0.0.0" for all IPv4 addresses, "::" for all
        addresses. The metrics contain no secrets; they name the instances, the addresses and the other hosts.
        Not a virtual address, because the exporter listens on a backup, too.
      '';
    };

    port = mkOption {
      type = types.port;
      default = 9650;
      example = 9165;
      description = "TCP port at which the exporter listens.";
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = ''
        Whether the firewall accepts connections to the exporter on all interfaces. To accept them on one interface,
        use `networking.firewall.interfaces`.
      '';
    };
  };

  config = lib.mkIf (cfg.enable && cfg.exporter.enable) {
    networking.firewall.allowedTCPPorts = lib.optional cfg.exporter.openFirewall port;

    systemd.services.vrrp-exporter = {
      description = "Metrics of the VRRP daemon";
      wantedBy = [ "multi-user.target" ];
      # Not after vrrp.service: without the daemon the metrics say that it does not answer.
      wants = [ "network.target" ];
      after = [ "network.target" ];
      # No start limit: an address may appear later than the exporter.
      startLimitIntervalSec = 0;

      serviceConfig = import ./hardening.nix // {
        Type = "notify";
        ExecStart = "${lib.getExe cfg.package} exporter --listen ${address}:${toString port}";
        Restart = "always";
        RestartSec = "5s";

        DynamicUser = true;
        CapabilityBoundingSet = "";

        PrivateUsers = true;
        ProcSubset = "pid";
        ProtectProc = "invisible";
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
          # For sd_notify and the control socket of the daemon.
          "AF_UNIX"
        ];
      };
    };
  };
}
