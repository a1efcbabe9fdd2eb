# Wrong configurations: each message names the option and the remedy.
{
  evalHost,
  lib,
  pkgs,
}:
let
  instance = {
    interface = "eth1";
    virtualRouterId = 51;
    virtualAddresses = [ "192.168.224.100/24" ];
  };

  script.command = [ "/usr/local/httpd.sh" ];

  host =
    vrrp:
    evalHost {
      imports = [ (import ./hosts.nix).bare ];
      services.vrrp = {
        enable = true;
      }
      // vrrp;
    };

  # Failed assertions of the module, without those of NixOS.
  complaints =
    vrrp:
    map (assertion: assertion.message) (
      lib.filter (
        assertion: !assertion.assertion && lib.hasInfix "services.vrrp" assertion.message
      ) (host vrrp).assertions
    );

  warnings = vrrp: lib.filter (lib.hasInfix "services.vrrp") (host vrrp).warnings;

  mistake = vrrp: message: {
    expr = complaints vrrp;
    expected = lib.toList message;
  };

  # A valid instance with additional keys, one of them a mistake.
  withInstance = words: { instances.VI_1 = instance // words; };
in
{
  testATrackerThatIsNotDefined =
    mistake
      {
        trackers.httpd_check = { inherit script; };
        instances.VI_1 = instance // {
          track = [ "httpd_chek" ];
        };
      }
      (
        "services.vrrp.instances.VI_1.track names the tracker \"httpd_chek\", which is not defined: "
        + "define services.vrrp.trackers.httpd_chek, or correct the name (known: httpd_check)."
      );

  testATrackerWithAWeightThatIsNotDefined =
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
        "services.vrrp.instances.VI_1.track names the tracker \"uplink\", which is not defined: "
        + "define services.vrrp.trackers.uplink, or correct the name."
      );

  testAMemberThatIsNotDefined =
    mistake
      {
        instances.VI_1 = instance;
        syncGroups.VG_1.members = [
          "VI_1"
          "VI_2"
        ];
      }
      (
        "services.vrrp.syncGroups.VG_1.members[1] names the instance \"VI_2\", which is not defined: "
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
        "services.vrrp.syncGroups.VG_2.members[0] names the instance \"VI_1\", which is already in "
        + "services.vrrp.syncGroups.VG_1.members[0]: keep one of them."
      );

  testTheSameVridTwiceOnAnInterface =
    mistake
      {
        instances.VI_1 = instance;
        instances.VI_2 = instance // {
          virtualAddresses = [ "192.168.224.101/24" ];
        };
      }
      (
        "services.vrrp.instances.VI_2.virtualRouterId: VRID 51 is already used by "
        + "services.vrrp.instances.VI_1 on eth1 for IPv4: "
        + "choose another, or move the addresses to that instance."
      );

  testAVridIsPerAddressFamily = {
    expr = complaints {
      instances.VI_1 = instance;
      instances.VI_2 = instance // {
        virtualAddresses = [ "2001:db8::100/64" ];
      };
    };
    expected = [ ];
  };

  testTheSameVridInOneOfTwoFamilies =
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
        "services.vrrp.instances.VI_2.virtualRouterId: VRID 51 is already used by "
        + "services.vrrp.instances.VI_1 on eth1 for IPv6: "
        + "choose another, or move the addresses to that instance."
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
        "services.vrrp.instances.VI_1.virtualAddresses: 2001:DB8::100 is already in "
        + "services.vrrp.instances.VI_1.virtualAddresses: keep one of them."
      );

  testALinkLocalAddressOnTwoInterfaces = {
    expr = complaints {
      instances.VI_1 = instance // {
        virtualAddresses = [ "fe80::1/64" ];
      };
      instances.VI_2 = instance // {
        interface = "eth2";
        virtualAddresses = [ "fe80::1/64" ];
      };
    };
    expected = [ ];
  };

  testALinkLocalAddressTwiceOnALink =
    mistake
      {
        instances.VI_1 = instance // {
          virtualAddresses = [ "fe80::1/64" ];
        };
        instances.VI_2 = instance // {
          interface = "eth2";
          virtualAddresses = [
            {
              address = "FE80::1/64";
              device = "eth1";
            }
          ];
        };
      }
      (
        "services.vrrp.instances.VI_2.virtualAddresses: FE80::1/64 is already in "
        + "services.vrrp.instances.VI_1.virtualAddresses: keep one of them."
      );

  testUnadvertisedIpv6WithVersion2 = {
    expr = complaints {
      instances.VI_1 = instance // {
        version = 2;
        virtualAddresses = [
          "192.168.224.100/24"
          {
            address = "2001:db8::100/64";
            advertise = false;
          }
        ];
      };
    };
    expected = [ ];
  };

  testTwoInstancesWithAnIpvsSyncThread =
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
        "services.vrrp.instances.VI_2.lvsSyncInterface: services.vrrp.instances.VI_1.lvsSyncInterface is set "
        + "already, and the kernel has one IPVS sync thread for all connections: keep one of them."
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
        "services.vrrp.instances.VI_1.virtualAddresses: VRRP version 2 has no IPv6: "
        + "move these addresses to an instance with version = 3, or set advertise = false for them."
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
        "services.vrrp.instances.VI_1.virtualAddresses: 192.168.224.100 is already in "
        + "services.vrrp.instances.VI_1.virtualAddresses: keep one of them."
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
        "services.vrrp.instances.VI_1.virtualAddresses: 192.168.224.100/24 is already in "
        + "services.vrrp.instances.\"VI:2\".virtualAddresses: keep one of them."
      );

  testAPasswordWithVersion3 =
    mistake
      {
        instances.VI_1 = instance // {
          authentication.pass.passwordFile = "/run/secrets/vrrp";
        };
      }
      (
        "services.vrrp.instances.VI_1.authentication.pass: VRRP version 3 has no password: "
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
        + "every user can read: write the path of a file on the host as a string, such as "
        + "\"/run/secrets/vrrp\"."
      );

  testAKeyInTheStoreIsAWarning = {
    expr = warnings {
      instances.VI_1 = instance // {
        authentication.hmac.keys."1".key = "0123456789abcdef0123456789abcdef";
      };
    };
    expected = [
      (
        "services.vrrp.instances.VI_1.authentication.hmac.keys.\"1\".key is written into the Nix store, "
        + "which every user can read: use keyFile instead."
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
        "services.vrrp.instances.VI_1.authentication.pass.passwordFile is in the Nix store, which every user "
        + "can read: write the path of a file on the host as a string, such as \"/run/secrets/vrrp\"."
      );

  testAUnitThatIsNotNamedInFull =
    mistake
      {
        trackers.httpd.script = script // {
          mayManage = [ "httpd" ];
        };
      }
      (
        "services.vrrp.trackers.httpd.script.mayManage[0] is \"httpd\", which is not a unit name: "
        + "write the full name, such as \"httpd.service\"."
      );

  testAUnitThatIsNoList =
    mistake
      {
        trackers.httpd.script = script // {
          mayManage = "httpd.service";
        };
      }
      (
        "services.vrrp.trackers.httpd.script.mayManage is \"httpd.service\", which is not a list: "
        + "write [ \"httpd.service\" ]."
      );

  # As in other modules, a definition under a false condition is ignored.
  testAnUnknownKeyUnderAFalseConditionIsIgnored = {
    expr = complaints (withInstance {
      colour = lib.mkIf false "green";
      virtualRouterId = lib.mkForce 52;
    });
    expected = [ ];
  };

  testAScriptThatRestartsItsOwnDaemon =
    mistake
      {
        trackers.httpd.script = script // {
          mayManage = [ "vrrp.service" ];
        };
      }
      (
        "services.vrrp.trackers.httpd.script.mayManage[0] is the daemon that runs the script, which must not "
        + "restart it: remove it."
      );

  testAPasswordInTheStoreIsAWarning = {
    expr = warnings {
      instances.VI_1 = instance // {
        version = 2;
        authentication.pass.password = "1111";
      };
    };
    expected = [
      (
        "services.vrrp.instances.VI_1.authentication.pass.password is written into the Nix store, which "
        + "every user can read: use services.vrrp.instances.VI_1.authentication.pass.passwordFile."
      )
    ];
  };

  testAVrfOfAnInterfaceWithoutInstance = mistake {
    vrfs = {
      eth1 = "blue";
      eth9 = "red";
    };
    instances.VI_1 = instance;
  } "services.vrrp.vrfs.eth9: no instance uses eth9: correct the name, or remove it.";

  testANumberOutOfRange = mistake (withInstance { virtualRouterId = 256; }) [
    "services.vrrp.instances.VI_1.virtualRouterId is 256, but its type is integer between 1 and 255 (both inclusive): write for example 51."
  ];

  testANumberAsAText = mistake (withInstance { virtualRouterId = "51"; }) [
    "services.vrrp.instances.VI_1.virtualRouterId is \"51\", but its type is integer between 1 and 255 (both inclusive): write 51."
  ];

  testAStateInCapitals = mistake (withInstance { state = "MASTER"; }) [
    "services.vrrp.instances.VI_1.state is \"MASTER\", but its type is one of \"master\", \"backup\": write \"master\"."
  ];

  testAnInstanceWithoutAddresses =
    mistake ({ instances.VI_1 = removeAttrs instance [ "virtualAddresses" ]; })
      [
        "services.vrrp.instances.VI_1.virtualAddresses is not set: write for example [ \"192.168.224.100/24\" ]."
      ];

  testAnInstanceWithoutAnything = mistake ({ instances.VI_1 = { }; }) [
    "services.vrrp.instances.VI_1.interface is not set: write for example \"eth1\"."
    "services.vrrp.instances.VI_1.virtualAddresses is not set: write for example [ \"192.168.224.100/24\" ]."
    "services.vrrp.instances.VI_1.virtualRouterId is not set: write for example 51."
  ];

  testAnInstanceThatIsAList = mistake ({ instances = [ instance ]; }) [
    "services.vrrp.instances is [ { interface = \"eth1\"; virtualAddresses = [ \"192.168.224.100/24\" ]; virtualRouterId = 51; } ], but its type is attribute set of (attribute set): write for example { VI_1 = { interface = \"eth1\"; virtualAddresses = [ \"192.168.224.100/24\" ]; virtualRouterId = 51; }; }."
  ];

  testAnEmptyListOfPeers = mistake (withInstance { unicast.peers = [ ]; }) [
    "services.vrrp.instances.VI_1.unicast.peers is [ ], but its type is non-empty (list of string): write for example [ \"192.168.224.11\" ]."
  ];

  testAnEmptyListOfAddresses = {
    expr = complaints (withInstance {
      virtualAddresses = [ ];
    });
    expected = [ ];
  };

  testOneAddressThatIsNoList = mistake (withInstance { virtualAddresses = "192.168.224.100/24"; }) [
    "services.vrrp.instances.VI_1.virtualAddresses is \"192.168.224.100/24\", but its type is list of (string or (attribute set)): write [ \"192.168.224.100/24\" ]."
  ];

  testAnAddressWithoutAnAddress =
    mistake (withInstance { virtualAddresses = [ { device = "eth0"; } ]; })
      [
        "services.vrrp.instances.VI_1.virtualAddresses[0].address is not set: write for example \"192.168.224.100/24\"."
      ];

  testAnAddressAsElsewhereInNixos =
    mistake
      (withInstance {
        virtualAddresses = [
          {
            address = "192.168.224.100";
            prefixLength = 24;
          }
        ];
      })
      [
        "services.vrrp.instances.VI_1.virtualAddresses[0].prefixLength is not an option here: write it in the address: address = \"192.168.224.100/24\"."
      ];

  testAnAddressAsOfKeepalived =
    mistake
      (withInstance {
        virtualAddresses = [
          {
            addr = "192.168.224.100/24";
            dev = "eth1";
          }
        ];
      })
      [
        "services.vrrp.instances.VI_1.virtualAddresses[0].addr is not an option here: write address = \"192.168.224.100/24\"."
        "services.vrrp.instances.VI_1.virtualAddresses[0].address is not set: write for example \"192.168.224.100/24\"."
        "services.vrrp.instances.VI_1.virtualAddresses[0].dev is not an option here: write device = \"eth0\"."
      ];

  testAVirtualMacThatIsNeitherBooleanNorObject = mistake (withInstance { virtualMac = "virtual"; }) [
    "services.vrrp.instances.VI_1.virtualMac is \"virtual\", but its type is boolean or (attribute set): write for example true."
  ];

  testATrackThatIsNoList =
    mistake
      ({
        trackers.uplink.interface.name = "eth0";
        instances.VI_1 = instance // {
          track = "uplink";
        };
      })
      [
        "services.vrrp.instances.VI_1.track is \"uplink\", but its type is list of (string or (attribute set)): write [ \"uplink\" ]."
      ];

  testPeersWithoutTheirKey = mistake (withInstance { unicast = [ "192.168.224.12" ]; }) [
    "services.vrrp.instances.VI_1.unicast is [ \"192.168.224.12\" ], but its type is attribute set: write { peers = [ \"192.168.224.12\" ]; }."
  ];

  testAPasswordWithoutItsKey =
    mistake
      (withInstance {
        version = 2;
        authentication = "1111";
      })
      [
        "services.vrrp.instances.VI_1.authentication is \"1111\", but its type is attribute set with one of: hmac, pass: write for example { pass = { passwordFile = \"/run/secrets/vrrp\"; }; }."
      ];

  testAnAuthenticationAsOfKeepalived =
    mistake
      (withInstance {
        version = 2;
        authentication = {
          authType = "PASS";
          authPass = "1111";
        };
      })
      [
        "services.vrrp.instances.VI_1.authentication.authPass is not an option here: write pass.passwordFile = \"/run/secrets/vrrp\"."
        "services.vrrp.instances.VI_1.authentication.authType is not an option here: write pass.passwordFile = \"/run/secrets/vrrp\"."
      ];

  testAnInvalidMode =
    mistake
      (withInstance {
        authentication.hmac = {
          keys."1".keyFile = "/run/secrets/vrrp";
          mode = "off";
        };
      })
      [
        "services.vrrp.instances.VI_1.authentication.hmac.mode is \"off\", but its type is one of \"enforce\", \"permissive\", \"receiveOnly\": write for example \"permissive\"."
      ];

  testAnEmptyAuthentication = mistake (withInstance { authentication = { }; }) [
    "services.vrrp.instances.VI_1.authentication is empty: write one of hmac, pass."
  ];

  testATypingError = mistake (withInstance { prority = 150; }) [
    "services.vrrp.instances.VI_1.prority is not an option: did you mean priority?"
  ];

  testAnUnknownKey = mistake (withInstance { colour = "green"; }) [
    "services.vrrp.instances.VI_1.colour is not an option: the options here are acceptMode, advertInterval, announce, authentication, interface, lvs, lvsSyncInterface, notify, preempt, preemptDelay, priority, resources, routes, rules, source, startupDelay, state, track, trackInterface, trustWire, unicast, version, virtualAddresses, virtualMac, virtualRouterId."
  ];

  testAnInstancesKeysInSnakeCase =
    mistake
      ({
        instances.VI_1 = {
          interface = "eth1";
          virtual_router_id = 51;
          virtual_ipaddress = [ "192.168.224.100/24" ];
        };
      })
      [
        "services.vrrp.instances.VI_1.virtualAddresses is not set: write for example [ \"192.168.224.100/24\" ]."
        "services.vrrp.instances.VI_1.virtualRouterId is not set: write for example 51."
        "services.vrrp.instances.VI_1.virtual_ipaddress is not an option here: write virtualAddresses = [ \"192.168.224.100/24\" ]."
        "services.vrrp.instances.VI_1.virtual_router_id is not an option here: write virtualRouterId."
      ];

  testATrackerOfTwoKinds = mistake ({
    trackers.both = {
      inherit script;
      interface.name = "eth0";
    };
  }) [ "services.vrrp.trackers.both has interface and script: keep one of them." ];

  testATrackerOfNoKind = mistake ({ trackers.none = { }; }) [
    "services.vrrp.trackers.none is empty: write one of file, http, interface, ping, process, route, script, tcp, unit."
  ];

  testAScriptThatIsAText = mistake ({ trackers.chk.script = "/bin/true"; }) [
    "services.vrrp.trackers.chk.script is \"/bin/true\", but its type is attribute set: write { command = [ \"/bin/true\" ]; }."
  ];

  testAScriptThatIsATextWithArguments =
    mistake ({ trackers.chk.script = "${pkgs.curl}/bin/curl --fail http://localhost/"; })
      [
        "services.vrrp.trackers.chk.script is \"${pkgs.curl}/bin/curl --fail http://localhost/\", but its type is attribute set: write { command = [ \"${pkgs.curl}/bin/curl\" \"--fail\" \"http://localhost/\" ]; }."
      ];

  testAScriptThatIsAPath = mistake ({ trackers.chk.script = ./hosts.nix; }) [
    "services.vrrp.trackers.chk.script is ${toString ./hosts.nix}, but its type is attribute set: write { command = [ ${toString ./hosts.nix} ]; }."
  ];

  testACommandThatIsAText = mistake ({ trackers.chk.script.command = "/bin/true --all"; }) [
    "services.vrrp.trackers.chk.script.command is \"/bin/true --all\", but its type is non-empty (list of (string, path or package)): write [ \"/bin/true\" \"--all\" ]."
  ];

  testATrackerThatIsAText = mistake ({ trackers.chk = "/bin/true"; }) [
    "services.vrrp.trackers.chk is \"/bin/true\", but its type is attribute set with one of: file, http, interface, ping, process, route, script, tcp, unit: write for example { ping = { host = \"192.168.224.1\"; }; }."
  ];

  testAnInterfaceThatIsAText = mistake ({ trackers.uplink.interface = "eth0"; }) [
    "services.vrrp.trackers.uplink.interface is \"eth0\", but its type is attribute set: write { name = \"eth0\"; }."
  ];

  testAUnitThatIsAText = mistake ({ trackers.web.unit = "httpd.service"; }) [
    "services.vrrp.trackers.web.unit is \"httpd.service\", but its type is attribute set: write { name = \"httpd.service\"; }."
  ];

  testATrackerAsAScriptOfKeepalived =
    mistake
      ({
        trackers.chk = {
          script = "/bin/true";
          interval = 2;
          weight = -20;
        };
      })
      [
        "services.vrrp.trackers.chk.interval is not an option here: write script.interval = 2."
        "services.vrrp.trackers.chk.script is \"/bin/true\", but its type is attribute set: write { command = [ \"/bin/true\" ]; }."
        "services.vrrp.trackers.chk.weight is not an option here: write it where the tracker is followed: services.vrrp.instances.NAME.track = [ { tracker = \"NAME\"; weight = -20; } ]."
      ];

  testANotificationThatIsAText = mistake (withInstance { notify = "/usr/local/notify.sh"; }) [
    "services.vrrp.instances.VI_1.notify is \"/usr/local/notify.sh\", but its type is attribute set: write for example { any = [ \"/usr/local/notify.sh\" ]; }."
  ];

  testARouteThatIsAText = mistake (withInstance { routes = [ "10.0.0.0/8 via 192.168.224.1" ]; }) [
    "services.vrrp.instances.VI_1.routes[0] is \"10.0.0.0/8 via 192.168.224.1\", but its type is attribute set: write for example { destination = \"default\"; gateway = \"192.168.224.1\"; source = \"192.168.224.100\"; }."
  ];

  testAGroupThatIsAList =
    mistake
      ({
        instances.VI_1 = instance;
        syncGroups.VG_1 = [ "VI_1" ];
      })
      [
        "services.vrrp.syncGroups.VG_1 is [ \"VI_1\" ], but its type is attribute set: write { members = [ \"VI_1\" ]; }."
      ];

  testInstancesAsOfKeepalived = mistake ({ vrrpInstances.VI_1 = { }; }) [
    "services.vrrp.vrrpInstances is not an option here: write services.vrrp.instances."
  ];

  # Options of nixpkgs' module, and keywords of the file that it generates.
  testEveryKeepalivedKeywordHasAReplacement = {
    expr =
      let
        answered = lib.hasInfix "is not an option here: ";
        unanswered = vrrp: words: lib.filter (word: !lib.any answered (complaints (vrrp word))) words;
      in
      {
        module = unanswered (word: { ${word} = { }; }) [
          "enableScriptSecurity"
          "extraConfig"
          "extraGlobalDefs"
          "global_defs"
          "secretFile"
          "snmp"
          "vrrpInstances"
          "vrrpScripts"
          "vrrp_instance"
          "vrrp_script"
          "vrrp_sync_group"
        ];
        instance = unanswered (word: withInstance { ${word} = { }; }) [
          "advert_int"
          "extraConfig"
          "lvs_sync_daemon_interface"
          "noPreempt"
          "nopreempt"
          "notify_master"
          "smtp_alert"
          "trackInterfaces"
          "trackScripts"
          "track_process"
          "unicastPeers"
          "unicastSrcIp"
          "unicast_peer"
          "useVmac"
          "virtualIps"
          "virtual_ipaddress"
          "virtual_ipaddress_excluded"
          "virtual_router_id"
          "vmacInterface"
          "vmacXmitBase"
        ];
        address =
          unanswered
            (
              word:
              withInstance {
                virtualAddresses = [
                  {
                    address = "192.168.224.100/24";
                    ${word} = "";
                  }
                ];
              }
            )
            [
              "addr"
              "brd"
              "dev"
            ];
        script =
          unanswered
            (word: {
              trackers.chk.script = script // {
                ${word} = { };
              };
            })
            [
              "extraConfig"
              "group"
              "init_fail"
              "script"
              "weight"
            ];
      };
    expected = {
      module = [ ];
      instance = [ ];
      address = [ ];
      script = [ ];
    };
  };

  # Users of services.keepalived write strings in these places.
  testEveryObjectSuggestsAReplacementForAString = {
    expr =
      let
        definitions = (lib.importJSON ../../daemon/config/schema.json)."$defs";
        resolve = value: definitions.${lib.removePrefix "#/$defs/" value."$ref" or ""} or value;
        isSet =
          value:
          let
            resolved = resolve value;
          in
          resolved ? properties || lib.any (kind: kind ? properties) resolved.oneOf or [ ];
        setsOf = properties: lib.attrNames (lib.filterAttrs (_: isSet) properties);
        kinds = lib.mergeAttrsList (lib.catAttrs "properties" definitions.Tracker.oneOf);
        unanswered = vrrp: lib.filter (word: !lib.any (lib.hasInfix ": write ") (complaints (vrrp word)));
      in
      unanswered (word: withInstance { ${word} = "/bin/true"; }) (setsOf definitions.Instance.properties)
      ++ unanswered (word: { trackers.chk.${word} = "/bin/true"; }) (setsOf kinds);
    expected = [ ];
  };

  # A remedy must not be a mistake itself.
  testEveryReplacementIsAnOption = {
    expr =
      let
        schema = lib.importJSON ../../daemon/config/schema.json;
        wordsOf =
          value:
          lib.attrNames value.properties or { }
          ++ lib.concatMap wordsOf (value.oneOf or [ ] ++ value.anyOf or [ ]);
        first = remedy: lib.head (builtins.match "([A-Za-z]*).*" remedy);
        # First words of sentences, and of options outside of the definition.
        isOther =
          remedy:
          lib.elem (first remedy) [
            "it"
            "leave"
            "networking"
            "services"
            "the"
          ];
        wrong =
          definition: remedies:
          lib.filter (
            remedy: !isOther remedy && !lib.elem (first remedy) (wordsOf schema."$defs".${definition})
          ) (lib.attrValues remedies);
      in
      lib.concatLists (
        lib.mapAttrsToList wrong (removeAttrs (import ../foreign.nix { inherit lib; }) [ "Config" ])
      );
    expected = [ ];
  };

  testNoInstanceIsAWarning = {
    expr = warnings { };
    expected = [
      "services.vrrp.enable is true, but no instance is defined, so the daemon has nothing to do: define services.vrrp.instances."
    ];
  };

  testAllMistakesAreReportedAtOnce = {
    expr = lib.length (complaints {
      trackers.httpd.script = script // {
        mayManage = [ "httpd" ];
      };
      instances.VI_1 = instance // {
        track = [ "http" ];
      };
    });
    expected = 2;
  };
}
