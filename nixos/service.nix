# The unit. A changed configuration reloads it, and a changed package restarts it.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.vrrp;

  vrrpd = lib.getExe cfg.package;

  unchecked = (pkgs.formats.json { }).generate "vrrpd.json" cfg.document;

  # The files with secrets exist only on the host that runs the daemon.
  checked = pkgs.runCommand "vrrpd-checked.json" { } ''
    if ! ${vrrpd} check --without-secrets ${unchecked}; then
      echo 'The paths above are options below services.vrrp, such as services.vrrp.instances.NAME.priority.' >&2
      exit 1
    fi
    cp ${unchecked} $out
  '';

  configuration = if cfg.checkConfig then checked else unchecked;

  instances = lib.attrValues cfg.document.instances;
  inherit (import ./instance.nix { inherit lib; }) hasVirtualMac resources;
  refuses = instance: !(instance.acceptMode or true);
  synchronises = instance: instance ? lvsSyncInterface;

  # CAP_NET_ADMIN changes addresses, routes and nf_tables, CAP_NET_RAW opens raw sockets.
  capabilities = [
    "CAP_NET_ADMIN"
    "CAP_NET_RAW"
  ];
in
{
  config = lib.mkIf cfg.enable {
    environment.etc."vrrpd/config.json".source = configuration;
    environment.systemPackages = [ cfg.package ];

    # Installs the target vrrp-master@.target, which is active while an instance is master.
    systemd.packages = lib.optional (lib.any (each: resources each != null) instances) cfg.package;

    # The kernel loads these on demand, except with security.lockKernelModules.
    boot.kernelModules =
      lib.optional (lib.any refuses instances) "nf_tables"
      ++ lib.optional (lib.any hasVirtualMac instances) "macvlan"
      ++ lib.optional (lib.any synchronises instances) "ip_vs";

    users.users.vrrp = {
      isSystemUser = true;
      group = "vrrp";
      description = "VRRP daemon";
    };
    users.groups.vrrp = { };

    systemd.services.vrrp = {
      description = "VRRP daemon";
      documentation = [ "https://www.rfc-editor.org/rfc/rfc9568" ];
      wantedBy = [ "multi-user.target" ];
      # Not network-online.target, because the daemon waits for its interfaces itself. The order matters at
      # shutdown: the daemon hands over the addresses before the network is stopped.
      wants = [ "network.target" ];
      after = [ "network.target" ];
      # No start limit: systemd restarts the daemon for ever, see RestartSteps.
      startLimitIntervalSec = 0;

      reloadTriggers = [ configuration ];
      # Restarts in one step, which shortens the interruption.
      stopIfChanged = false;

      environment = import ./environment.nix // {
        # The daemon starts no program.
        PATH = lib.mkForce "/run/current-system/sw/bin";
      };

      serviceConfig =
        import ./hardening.nix
        // {
          Type = "notify-reload";
          ExecStart = "${vrrpd} run --scripts ${config.systemd.sockets.vrrp-scripts.socketConfig.ListenStream}";
          # Removes the addresses after any end of the daemon, also a crash.
          ExecStopPost = "${vrrpd} cleanup";
          WatchdogSec = "5s";
          # The daemon extends the timeout while it waits for notification programs, beyond TimeoutStopSec.
          KillMode = "mixed";

          Restart = "always";
          RestartSec = "100ms";
          RestartSteps = 6;
          RestartMaxDelaySec = "10s";
          # A restart does not repair an invalid configuration (exit status 2).
          RestartPreventExitStatus = 2;

          User = "vrrp";
          Group = "vrrp";
          RuntimeDirectory = "vrrpd";
          # The event log and the state for the next process outlive the daemon.
          RuntimeDirectoryPreserve = "yes";
          # Every user may query the status.
          RuntimeDirectoryMode = "0755";
          # The standing commands of the operator.
          StateDirectory = "vrrp";
          StateDirectoryMode = "0700";
          LoadCredential = lib.mapAttrsToList (
            name: path: "${name}:${lib.replaceStrings [ "%" ] [ "%%" ] path}"
          ) cfg.credentials;

          AmbientCapabilities = capabilities;
          CapabilityBoundingSet = capabilities;

          # The kernel kills other processes first: without the daemon the addresses are gone.
          OOMScoreAdjust = -900;

          # A core dump would contain the keys.
          LimitCORE = 0;

          # Not ProtectProc and ProcSubset, because trackers look for processes.
          RestrictAddressFamilies = [
            "AF_INET"
            "AF_INET6"
            "AF_NETLINK"
            "AF_PACKET"
            # For the journal, sd_notify, the control socket, and the D-Bus of systemd.
            "AF_UNIX"
          ];
        }
        // lib.optionalAttrs cfg.realtime {
          CPUSchedulingPolicy = "fifo";
          CPUSchedulingPriority = 10;
          # Other threads of the daemon run without real-time priority.
          CPUSchedulingResetOnFork = true;
        };
    };
  };
}
