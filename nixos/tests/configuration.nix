# Translation of the options into /etc/vrrpd/config.json.
{
  hosts,
  lib,
  # The hosts with the module without options.nix.
  withoutOptions,
}:
let
  inherit (hosts)
    disabled
    least
    most
    programs
    signing
    unchecked
    whole
    ;
in
{
  testUnsetOptionsAreNotWritten = {
    expr = least.services.vrrp.document;
    expected = {
      syncGroups = { };
      trackers = { };
      instances.VI_1 = {
        interface = "eth1";
        virtualRouterId = 51;
        virtualAddresses = [ "192.168.224.100/24" ];
      };
    };
  };

  testKeysAreWrittenUnchanged = {
    expr = most.services.vrrp.document.instances.VI_1;
    expected = {
      state = "master";
      interface = "eth1";
      virtualRouterId = 51;
      priority = 150;
      version = 2;
      advertInterval = 1;
      preempt = false;
      acceptMode = false;
      # The option has an absolute path, so systemd passes the file under this name.
      authentication.pass.passwordFile = "VI_1.password";
      track = [
        "httpd"
        {
          tracker = "uplink";
          weight = -20;
        }
        { tracker = "nginx"; }
      ];
      virtualAddresses = [
        "192.168.224.100/24"
        "192.168.224.101/24"
      ];
    };
  };

  # Objects, lists of objects, and values that are a string or an object: no null remains.
  testObjectsAreWrittenUnchanged = {
    expr = whole.services.vrrp.document.instances;
    expected = {
      VI_1 = {
        interface = "eth1";
        virtualRouterId = 51;
        source = "fe80::11";
        startupDelay = "30s";
        preemptDelay = 300;
        announce = {
          burst = 3;
          refresh = "10m";
          onLowerPriority = false;
        };
        virtualMac.sendFrom = "base";
        virtualAddresses = [
          "192.168.224.100/24"
          {
            address = "2001:db8::100/64";
            device = "eth0";
            scope = "link";
            preferredLifetime = 0;
            advertise = false;
          }
        ];
        routes = [
          {
            destination = "default";
            scope = 200;
            nextHops = [
              { gateway = "192.168.224.1"; }
              {
                gateway = "192.168.224.2";
                weight = 2;
              }
            ];
          }
          {
            destination = "2001:db8:1::/48";
            gateway = "fe80::1";
            device = "eth1";
            metric = 4294967295;
          }
        ];
        rules = [
          {
            from = "192.168.224.100/32";
            table = 100;
          }
        ];
      };
      VI_2 = {
        interface = "eth2";
        virtualRouterId = 51;
        virtualMac = true;
        virtualAddresses = [ { address = "2001:db8:2::100/64"; } ];
      };
    };
  };

  testModuleOptionsAreNotWritten = {
    expr = most.services.vrrp.document.trackers;
    expected = {
      httpd.script = {
        command = [ "/usr/local/httpd.sh" ];
        interval = 2;
      };
      nginx.script = {
        command = [ "/usr/local/nginx.sh" ];
        timeout = "500ms";
        rise = 2;
        fall = 3;
      };
      uplink.interface.name = "eth0";
    };
  };

  testUnknownKeysInSettingsPassThrough = {
    expr = {
      inherit (most.services.vrrp.document) syncGroups;
    };
    expected = {
      syncGroups.VG_1.members = [
        "VI_1"
        "VI:2"
      ];
    };
  };

  testSettingsCanSetWhatAnOptionLeavesUnset = {
    expr = most.services.vrrp.document.instances."VI:2".priority;
    expected = 99;
  };

  testARelativePasswordFileIsNotChanged = {
    expr = most.services.vrrp.document.instances."VI:2".authentication;
    expected.pass.passwordFile = "relative";
  };

  testHmacKeyFilesAreCredentials = {
    expr = {
      inherit (signing.services.vrrp.document.instances."VI:1".authentication) hmac;
      inherit (signing.services.vrrp) credentials;
    };
    expected = {
      hmac = {
        keys = {
          "1".keyFile = "VI,1.key1";
          "2".keyFile = "VI,1.key2";
          "3".keyFile = "relative";
        };
        activeKey = 1;
      };
      credentials = {
        "VI,1.key1" = "/run/secrets/vrrp";
        "VI,1.key2" = "/run/secrets/vrrp-next";
      };
    };
  };

  testProgramsMayBePathsAndPackages = {
    expr = {
      package = lib.match ".*/bin/[^/]*" (
        lib.head programs.services.vrrp.document.trackers.page.script.command
      );
      path = lib.match ".*hosts.nix" (lib.head programs.services.vrrp.document.instances.VI_1.notify.any);
      rest = lib.tail programs.services.vrrp.document.trackers.page.script.command;
    };
    expected = {
      package = [ ];
      path = [ ];
      rest = [ "--fail" ];
    };
  };

  # The module is complete without the options of options.nix.
  testSettingsAloneAreEnough = {
    expr =
      let
        host = withoutOptions.settingsAlone;
      in
      {
        inherit (host.services.vrrp) document;
        options = host.services.vrrp ? instances;
        firewall = lib.hasInfix "-p 112" host.networking.firewall.extraCommands;
        polkit = lib.hasInfix "httpd.service" host.security.polkit.extraConfig;
        complaints = lib.filter (
          assertion: !assertion.assertion && lib.hasInfix "vrrp" assertion.message
        ) host.assertions;
      };
    expected = {
      document = {
        syncGroups = { };
        trackers.httpd.script.command = [ "/usr/local/httpd.sh" ];
        instances.VI_1 = {
          interface = "eth1";
          virtualRouterId = 51;
          track = [ "httpd" ];
          virtualAddresses = [ "192.168.224.100/24" ];
        };
      };
      options = false;
      firewall = true;
      polkit = true;
      complaints = [ ];
    };
  };

  testTheTypesOfSettingsAreStrict = {
    expr = map (host: (builtins.tryEval (builtins.toJSON host.services.vrrp.document)).success) [
      withoutOptions.settingsAlone
      withoutOptions.listInSettings
      withoutOptions.textInSettings
    ];
    expected = [
      true
      false
      false
    ];
  };

  testTheBuildChecksTheConfiguration = {
    expr = least.environment.etc."vrrpd/config.json".source.name;
    expected = "vrrpd-checked.json";
  };

  testTheCheckCanBeDisabled = {
    expr = unchecked.environment.etc."vrrpd/config.json".source.name;
    expected = "vrrpd.json";
  };

  testNothingIsDefinedUnlessEnabled = {
    expr = {
      etc = disabled.environment.etc ? "vrrpd/config.json";
      unit = disabled.systemd.services ? vrrp;
      user = disabled.users.users ? vrrp;
    };
    expected = {
      etc = false;
      unit = false;
      user = false;
    };
  };

  testValidHostsHaveNoWarnings = {
    expr = lib.filter (lib.hasInfix "services.vrrp") (
      least.warnings ++ most.warnings ++ whole.warnings
    );
    expected = [ ];
  };
}
