# The units of the daemon and of its scripts, and their polkit rules.
{ hosts, lib }:
let
  inherit (hosts)
    changed
    least
    most
    moving
    programs
    users
    whole
    ;

  unit = host: host.systemd.services.vrrp;
  scripts = host: host.systemd.services.vrrp-scripts;
  service = host: (unit host).serviceConfig;
  text =
    unit: host:
    lib.filter (line: !lib.hasPrefix "X-Reload-Triggers=" line) (
      lib.splitString "\n" host.systemd.units.${unit}.text
    );
in
{
  testAChangedConfigurationReloads = {
    expr = {
      inherit (service least) Type;
      triggers = (unit least).reloadTriggers == [ least.environment.etc."vrrpd/config.json".source ];
      # restartTriggers would restart the daemon.
      inherit (unit least) restartTriggers;
      path = lib.hasInfix "config" (service least).ExecStart;
    };
    expected = {
      Type = "notify-reload";
      triggers = true;
      restartTriggers = [ ];
      path = false;
    };
  };

  # Any other difference in the text of the unit would restart the daemon.
  testAChangedConfigurationChangesOnlyReloadTriggers = {
    expr = {
      sameText = text "vrrp.service" changed == text "vrrp.service" least;
      sameTriggers = (unit changed).reloadTriggers == (unit least).reloadTriggers;
    };
    expected = {
      sameText = true;
      sameTriggers = false;
    };
  };

  testAChangedPackageRestartsInOneStep = {
    expr = {
      inherit (unit least) stopIfChanged;
      package = lib.hasPrefix "${least.services.vrrp.package}/bin/vrrpd " (service least).ExecStart;
    };
    expected = {
      stopIfChanged = false;
      package = true;
    };
  };

  # A change of any other package in the unit would restart the daemon.
  testTheUnitsNameNoOtherPackage = {
    expr =
      let
        inStore = lib.filter (lib.hasInfix builtins.storeDir) (
          text "vrrp.service" programs ++ text "vrrp-scripts.service" programs
        );
        daemon = builtins.unsafeDiscardStringContext "${programs.services.vrrp.package}";
      in
      lib.filter (line: !lib.hasInfix "=${daemon}/bin/vrrpd " line) inStore;
    expected = [ ];
  };

  testScriptsHavePathBehindAFixedDirectory = {
    expr = {
      environment = (scripts programs).environment.PATH;
      inside = programs.environment.etc ? "vrrpd/path";
    };
    expected = {
      environment = "/etc/vrrpd/path/bin:/etc/vrrpd/path/sbin";
      inside = true;
    };
  };

  # Another user than the daemon's, and no right to become a further one.
  testScriptsRunAsAUserWithoutRights = {
    expr = {
      inherit ((scripts most).serviceConfig)
        AmbientCapabilities
        CapabilityBoundingSet
        NoNewPrivileges
        User
        ;
      daemon = (service most).User;
      setuid = lib.elem "@setuid" (scripts most).serviceConfig.SystemCallFilter;
      allowed = lib.hasInfix "--allow" (scripts most).serviceConfig.ExecStart;
    };
    expected = {
      AmbientCapabilities = "";
      CapabilityBoundingSet = "";
      NoNewPrivileges = true;
      User = "vrrp-scripts";
      daemon = "vrrp";
      setuid = false;
      allowed = false;
    };
  };

  # Users of a script, of an instance and of a group; each once.
  testUsersOfTheConfigurationAreAllowed = {
    expr = {
      inherit ((scripts users).serviceConfig) CapabilityBoundingSet User;
      setuid = lib.elem "@setuid" (scripts users).serviceConfig.SystemCallFilter;
      allowed = lib.tail (lib.splitString " --allow " (scripts users).serviceConfig.ExecStart);
      complaints = lib.filter (
        assertion: !assertion.assertion && lib.hasInfix "services.vrrp" assertion.message
      ) users.assertions;
    };
    expected = {
      CapabilityBoundingSet = [
        "CAP_KILL"
        "CAP_SETGID"
        "CAP_SETUID"
      ];
      User = "vrrp-scripts";
      setuid = true;
      allowed = [
        "web"
        "mail"
        "postgres"
      ];
      complaints = [ ];
    };
  };

  # The daemon runs all programs through this socket, which it alone can open.
  testTheDaemonAloneRequestsScripts = {
    expr =
      let
        inherit (least.systemd.sockets.vrrp-scripts.socketConfig)
          ListenStream
          SocketMode
          SocketUser
          ;
      in
      {
        inherit SocketMode SocketUser;
        daemon = lib.hasSuffix " run --scripts ${ListenStream}" (service least).ExecStart;
        inherit ((scripts least).serviceConfig) StandardInput;
      };
    expected = {
      SocketMode = "0600";
      SocketUser = "vrrp";
      daemon = true;
      StandardInput = "socket";
    };
  };

  testTheUnitStartsAtBootWithoutNetworkOnline = {
    expr = {
      after = lib.sort lib.lessThan (unit least).after;
      wants = lib.sort lib.lessThan (unit least).wants;
      inherit (unit least) wantedBy;
      timers = least.systemd.timers ? vrrp;
    };
    expected = {
      after = [
        "network.target"
        "vrrp-scripts.service"
      ];
      wants = [
        "network.target"
        "vrrp-scripts.service"
      ];
      wantedBy = [ "multi-user.target" ];
      timers = false;
    };
  };

  testTheUnitHasTwoCapabilities = {
    expr = {
      inherit (service most) AmbientCapabilities CapabilityBoundingSet NoNewPrivileges;
    };
    expected = {
      AmbientCapabilities = [
        "CAP_NET_ADMIN"
        "CAP_NET_RAW"
      ];
      CapabilityBoundingSet = [
        "CAP_NET_ADMIN"
        "CAP_NET_RAW"
      ];
      NoNewPrivileges = true;
    };
  };

  testKernelModulesAreLoadedWhereNeeded = {
    # NixOS may load some of the modules anyway.
    expr =
      let
        times = module: host: lib.count (other: other == module) host.boot.kernelModules;
        added = host: lib.filter (module: times module host > times module least);
      in
      lib.mapAttrs (
        _: host:
        added host [
          "ip_vs"
          "macvlan"
          "nf_tables"
        ]
      ) { inherit most whole; };
    expected = {
      most = [
        "ip_vs"
        "nf_tables"
      ];
      whole = [ "macvlan" ];
    };
  };

  testCleanupRemovesAddressesAfterACrash = {
    expr = {
      cleanup = lib.hasSuffix "/bin/vrrpd cleanup" (service least).ExecStopPost;
      inherit (service least) Restart WatchdogSec;
      inherit (unit least) startLimitIntervalSec;
    };
    expected = {
      cleanup = true;
      Restart = "always";
      WatchdogSec = "5s";
      startLimitIntervalSec = 0;
    };
  };

  testStateForTheNextProcessSurvivesAStop = {
    expr = (service least).RuntimeDirectoryPreserve;
    expected = "yes";
  };

  testNotificationsAtTheStopAreNotKilled = {
    expr = (service least).KillMode;
    expected = "mixed";
  };

  # A percent sign is a specifier in a unit.
  testAPasswordFileIsACredential = {
    expr = (service most).LoadCredential;
    expected = [ "VI_1.password:/run/secrets/100%%" ];
  };

  testRealtimeIsForTheProtocolThreadOnly = {
    expr = {
      usually = service least ? CPUSchedulingPolicy;
      inherit (service most) CPUSchedulingPolicy CPUSchedulingResetOnFork RestrictRealtime;
    };
    expected = {
      usually = false;
      CPUSchedulingPolicy = "fifo";
      CPUSchedulingResetOnFork = true;
      RestrictRealtime = true;
    };
  };

  testScriptsMayManageOnlyTheirUnits = {
    expr = most.security.polkit.extraConfig;
    expected = ''
      polkit.addRule(function (action, subject) {
        var rights = {"vrrp-scripts":{"httpd.service":["restart","start"],"nginx.service":["restart","start"]}};
        if (
          action.id === "org.freedesktop.systemd1.manage-units" &&
          ((rights[subject.user] || {})[action.lookup("unit")] || []).indexOf(action.lookup("verb")) >= 0
        ) {
          return polkit.Result.YES;
        }
      });
    '';
  };

  # At shutdown no check script may start a unit that systemd is stopping.
  testTheDaemonStopsBeforeManagedUnits = {
    expr = lib.sort lib.lessThan (unit most).after;
    expected = [
      "httpd.service"
      "network.target"
      "nginx.service"
      "vrrp-scripts.service"
    ];
  };

  # A tracker with `restart` starts its unit, an instance starts and stops its resources, and a tracker without
  # `restart` needs no rule.
  testPolkitAllowsResourcesTargetsAndRestarts = {
    expr =
      let
        line = lib.findFirst (lib.hasInfix "var rights") "" (
          lib.splitString "\n" moving.security.polkit.extraConfig
        );
      in
      builtins.fromJSON (lib.removeSuffix ";" (lib.removePrefix "  var rights = " line));
    expected = {
      vrrp = {
        "backup.timer" = [
          "start"
          "stop"
        ];
        "database.service" = [
          "start"
          "stop"
        ];
        "httpd.service" = [
          "start"
          "stop"
        ];
        "nginx.service" = [ "start" ];
        "vrrp-master@VI_2.target" = [
          "start"
          "stop"
        ];
        "vrrp-master@web\\x2dfront\\x401.target" = [
          "start"
          "stop"
        ];
      };
      vrrp-scripts."nginx.service" = [
        "restart"
        "start"
      ];
    };
  };

  # The stop of a resource would wait for the stop of the daemon, which waits for the resource.
  testTheUnitHasNoOrderWithResources = {
    expr = lib.sort lib.lessThan (unit moving).after;
    expected = [
      "network.target"
      "nginx.service"
      "vrrp-scripts.service"
    ];
  };

  testTheTargetIsInstalledWhereNeeded = {
    expr = lib.mapAttrs (_: host: lib.elem host.services.vrrp.package host.systemd.packages) {
      inherit least moving;
    };
    expected = {
      least = false;
      moving = true;
    };
  };

  testNoPolkitRuleWithoutManagedUnits = {
    expr = lib.hasInfix "vrrp" least.security.polkit.extraConfig;
    expected = false;
  };
}
