# Wrong configurations: each message names the option and the remedy.
{ evalHost, lib }:
let
  instance = {
    interface = "eth1";
    virtualRouterId = 51;
    virtualAddresses = [ "192.168.224.100/24" ];
  };

  script.command = [ "/usr/local/httpd.sh" ];

  host =
    vrrp:
    (evalHost {
      imports = [ (import ./hosts.nix).bare ];
      services.vrrp = {
        enable = true;
      }
      // vrrp;
    }).config;

  # What the module complains of, without what NixOS has to say.
  complaints =
    vrrp:
    map (assertion: assertion.message) (
      lib.filter (
        assertion: !assertion.assertion && lib.hasInfix "services.vrrp" assertion.message
      ) (host vrrp).assertions
    );

  mistake = vrrp: message: {
    expr = complaints vrrp;
    expected = [ message ];
  };

  # Types say it: there is no message to look at, only that it does not evaluate.
  refused = vrrp: {
    expr = (builtins.tryEval (builtins.toJSON (host vrrp).services.vrrp.document)).success;
    expected = false;
  };
in
{
  testATrackerThatNobodyDefined =
    mistake
      {
        trackers.httpd_check = { inherit script; };
        instances.VI_1 = instance // {
          track = [ "httpd_chek" ];
        };
      }
      (
        "services.vrrp.instances.VI_1.track names the tracker \"httpd_chek\", which nobody defined: "
        + "define services.vrrp.trackers.httpd_chek, or correct the name (known: httpd_check)."
      );

  testATrackerWithAWeightThatNobodyDefined =
    mistake
      {
        instances.VI_1 = instance // {
          track = [
            {
              tracker = "uplink";
              weight = -20;
            }
          ];
        };
      }
      (
        "services.vrrp.instances.VI_1.track names the tracker \"uplink\", which nobody defined: "
        + "define services.vrrp.trackers.uplink, or correct the name."
      );

  testAMemberThatNobodyDefined =
    mistake
      {
        instances.VI_1 = instance;
        syncGroups.VG_1.members = [
          "VI_1"
          "VI_2"
        ];
      }
      (
        "services.vrrp.syncGroups.VG_1.members[1] names the instance \"VI_2\", which nobody defined: "
        + "define services.vrrp.instances.VI_2, or correct the name."
      );

  testAMemberOfTwoGroups =
    mistake
      {
        instances.VI_1 = instance;
        syncGroups.VG_1.members = [ "VI_1" ];
        syncGroups.VG_2.members = [ "VI_1" ];
      }
      (
        "services.vrrp.syncGroups.VG_2.members[0] names the instance \"VI_1\", which "
        + "services.vrrp.syncGroups.VG_1.members[0] does already: keep one of them."
      );

  testTheSameVirtualRouterTwiceOnAnInterface =
    mistake
      {
        instances.VI_1 = instance;
        instances.VI_2 = instance // {
          virtualAddresses = [ "192.168.224.101/24" ];
        };
      }
      (
        "services.vrrp.instances.VI_2.virtualRouterId is 51, which "
        + "services.vrrp.instances.VI_1.virtualRouterId is already on eth1 for IPv4: "
        + "choose another number, or put the addresses into that instance."
      );

  testTheFamiliesOfAnInterfaceAreDifferentVirtualRouters = {
    expr = complaints {
      instances.VI_1 = instance;
      instances.VI_2 = instance // {
        virtualAddresses = [ "2001:db8::100/64" ];
      };
    };
    expected = [ ];
  };

  testTheSameVirtualRouterTwiceInOneOfTwoFamilies =
    mistake
      {
        instances.VI_1 = instance // {
          virtualAddresses = [
            "192.168.224.100/24"
            "2001:db8::100/64"
          ];
        };
        instances.VI_2 = instance // {
          virtualAddresses = [ { address = "2001:db8::101/64"; } ];
        };
      }
      (
        "services.vrrp.instances.VI_2.virtualRouterId is 51, which "
        + "services.vrrp.instances.VI_1.virtualRouterId is already on eth1 for IPv6: "
        + "choose another number, or put the addresses into that instance."
      );

  testTheSameAddressAsTextAndAsObject =
    mistake
      {
        instances.VI_1 = instance // {
          virtualAddresses = [
            "2001:db8::100/64"
            {
              address = "2001:DB8::100";
              device = "eth0";
            }
          ];
        };
      }
      (
        "services.vrrp.instances.VI_1.virtualAddresses: 2001:DB8::100 stands in "
        + "services.vrrp.instances.VI_1.virtualAddresses already: keep one of them."
      );

  testTwoInstancesWithTheSyncThread =
    mistake
      {
        instances.VI_1 = instance // {
          lvsSyncInterface = "eth1";
        };
        instances.VI_2 = instance // {
          virtualRouterId = 52;
          virtualAddresses = [ "192.168.224.101/24" ];
          lvsSyncInterface = "eth2";
        };
      }
      (
        "services.vrrp.instances.VI_2.lvsSyncInterface: services.vrrp.instances.VI_1.lvsSyncInterface is there "
        + "already, and the kernel has one sync thread for all connections: keep one of them."
      );

  testIpv6WithVersion2 =
    mistake
      {
        instances.VI_1 = instance // {
          version = 2;
          virtualAddresses = [ "2001:db8::100/64" ];
        };
      }
      (
        "services.vrrp.instances.VI_1.virtualAddresses: version 2 of VRRP knows no IPv6: "
        + "put these addresses into an instance of version 3."
      );

  testTheSameAddressTwiceInAnInstance =
    mistake
      {
        instances.VI_1 = instance // {
          virtualAddresses = [
            "192.168.224.100/24"
            "192.168.224.100"
          ];
        };
      }
      (
        "services.vrrp.instances.VI_1.virtualAddresses: 192.168.224.100 stands in "
        + "services.vrrp.instances.VI_1.virtualAddresses already: keep one of them."
      );

  testTheSameAddressInTwoInstances =
    mistake
      {
        instances.VI_1 = instance;
        instances."VI:2" = instance // {
          virtualRouterId = 52;
        };
      }
      (
        "services.vrrp.instances.VI_1.virtualAddresses: 192.168.224.100/24 stands in "
        + "services.vrrp.instances.\"VI:2\".virtualAddresses already: keep one of them."
      );

  testAPasswordWithVersion3 =
    mistake
      {
        instances.VI_1 = instance // {
          authentication.pass.passwordFile = "/run/secrets/vrrp";
        };
      }
      (
        "services.vrrp.instances.VI_1.authentication.pass: version 3 of VRRP has no password: "
        + "use hmac, leave it out, or set services.vrrp.instances.VI_1.version = 2."
      );

  testAKeyFileInTheStore =
    mistake
      {
        instances.VI_1 = instance // {
          authentication.hmac.keys."1".keyFile = "${./hosts.nix}";
        };
      }
      (
        "services.vrrp.instances.VI_1.authentication.hmac.keys.\"1\".keyFile is in the Nix store, which "
        + "everybody can read: write the path of a file on the host as a string, such as "
        + "\"/run/secrets/vrrp\"."
      );

  testAKeyInTheStoreIsWarnedOf = {
    expr =
      lib.filter (lib.hasInfix "services.vrrp")
        (host {
          instances.VI_1 = instance // {
            authentication.hmac.keys."1".key = "0123456789abcdef0123456789abcdef";
          };
        }).warnings;
    expected = [
      (
        "services.vrrp.instances.VI_1.authentication.hmac.keys.\"1\".key is written into the Nix store, "
        + "which everybody can read: use keyFile there."
      )
    ];
  };

  testAPasswordFileInTheStore =
    mistake
      {
        instances.VI_1 = instance // {
          version = 2;
          authentication.pass.passwordFile = "${./hosts.nix}";
        };
      }
      (
        "services.vrrp.instances.VI_1.authentication.pass.passwordFile is in the Nix store, which everybody "
        + "can read: write the path of a file on the host as a string, such as \"/run/secrets/vrrp\"."
      );

  testAScriptOfAnotherUser =
    mistake
      {
        trackers.httpd.script = script // {
          user = "nobody";
        };
      }
      (
        "services.vrrp.trackers.httpd.script.user needs a daemon that runs as root, and the unit does not: "
        + "leave it out, and name in services.vrrp.trackers.httpd.script.mayManage what the script may start."
      );

  testACommandOfAnotherUser =
    mistake
      {
        instances.VI_1 = instance // {
          notify = {
            any = [ "/usr/local/told.sh" ];
            user = "nobody";
          };
        };
      }
      (
        "services.vrrp.instances.VI_1.notify.user needs a daemon that runs as root, and the unit does not: "
        + "leave it out."
      );

  testAUnitThatIsNotNamedInFull =
    mistake
      {
        trackers.httpd.script = script // {
          mayManage = [ "httpd" ];
        };
      }
      (
        "services.vrrp.trackers.httpd.script.mayManage: \"httpd\" is no name of a unit: "
        + "write it in full, such as \"httpd.service\"."
      );

  testAScriptThatRestartsItsOwnDaemon =
    mistake
      {
        trackers.httpd.script = script // {
          mayManage = [ "vrrp.service" ];
        };
      }
      (
        "services.vrrp.trackers.httpd.script.mayManage: a check script must not restart the daemon that runs "
        + "it: take vrrp.service out."
      );

  testAPasswordInTheStoreIsWarnedOf = {
    expr =
      lib.filter (lib.hasInfix "services.vrrp")
        (host {
          instances.VI_1 = instance // {
            version = 2;
            authentication.pass.password = "1111";
          };
        }).warnings;
    expected = [
      (
        "services.vrrp.instances.VI_1.authentication.pass.password is written into the Nix store, which "
        + "everybody can read: use services.vrrp.instances.VI_1.authentication.pass.passwordFile."
      )
    ];
  };

  testANumberOutOfRange = refused {
    instances.VI_1 = instance // {
      virtualRouterId = 256;
    };
  };

  testAnInstanceWithoutAddresses = refused {
    instances.VI_1 = removeAttrs instance [ "virtualAddresses" ];
  };

  testAnAddressWithoutAnAddress = refused {
    instances.VI_1 = instance // {
      virtualAddresses = [ { device = "eth0"; } ];
    };
  };

  testAVirtualMacAddressThatIsNeitherTruthNorObject = refused {
    instances.VI_1 = instance // {
      virtualMac = "virtual";
    };
  };

  testAModeThatIsNone = refused {
    instances.VI_1 = instance // {
      authentication.hmac = {
        keys."1".keyFile = "/run/secrets/vrrp";
        mode = "off";
      };
    };
  };

  testATrackerOfTwoKinds = refused {
    trackers.both = {
      inherit script;
      interface.name = "eth0";
    };
  };

  testAllMistakesAreToldAtOnce = {
    expr = lib.length (complaints {
      trackers.httpd.script = script // {
        user = "nobody";
        mayManage = [ "httpd" ];
      };
      instances.VI_1 = instance // {
        track = [ "http" ];
      };
    });
    expected = 3;
  };
}
