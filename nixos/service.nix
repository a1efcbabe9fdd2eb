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

  # Programs of scripts are behind one path that never changes, so that a new version of a program does not
  # restart the daemon. With `path` NixOS would write store paths into the unit.
  programs = lib.toList config.systemd.services.vrrp.path;
  isInStore = program: lib.hasPrefix builtins.storeDir (toString program);
  path = pkgs.buildEnv {
    name = "vrrpd-path";
    paths = map lib.getBin (lib.filter isInStore programs);
    pathsToLink = [
      "/bin"
      "/sbin"
    ];
    # The first program of a name is used, as in a PATH.
    ignoreCollisions = true;
  };
  folders = [ "/etc/vrrpd/path" ] ++ lib.filter (program: !isInStore program) programs;

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
    environment.etc."vrrpd/path".source = path;
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

      inherit (cfg) path;
      environment = {
        PATH = lib.mkForce (lib.concatMapStringsSep ":" (folder: "${folder}/bin:${folder}/sbin") folders);
        # Paths that do not change with the packages behind them.
        LOCALE_ARCHIVE = "/run/current-system/sw/lib/locale/locale-archive";
        TZDIR = "/etc/zoneinfo";
      };

      serviceConfig =
        import ./hardening.nix
        // {
          Type = "notify-reload";
          ExecStart = "${vrrpd} run";
          # Removes the addresses after any end of the daemon, also a crash.
          ExecStopPost = "${vrrpd} cleanup";
          WatchdogSec = "5s";
          # Mixed, so that systemd does not kill notification programs that run when the daemon stops. The
          # daemon extends the timeout while it waits for them, beyond TimeoutStopSec.
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

          # A core dump would contain the keys.
          LimitCORE = 0;

          # Not ProtectProc and ProcSubset, because check scripts look for processes and at the load.
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
          # Other threads of the daemon and all scripts run without real-time priority.
          CPUSchedulingResetOnFork = true;
        };
    };
  };
}
