# Modules of ../cluster.nix: the configuration of each host, and the mistakes that each of them reports.
{ evalHost, lib }:
let
  instance = {
    interface = "eth1";
    virtualRouterId = 51;
    virtualAddresses = [ "192.168.224.100/24" ];
  };

  pair = {
    hosts = {
      one = {
        priority = 150;
        source = "192.168.224.11";
      };
      two = {
        priority = 100;
        source = "192.168.224.12";
      };
    };
    instances.VI_1 = instance;
  };

  cluster =
    definition:
    lib.mapAttrs (
      _: module:
      evalHost {
        imports = [
          (import ./hosts.nix).bare
          module
        ];
      }
    ) (import ../cluster.nix { inherit lib; } definition);

  documents = definition: lib.mapAttrs (_: host: host.services.vrrp.document) (cluster definition);

  complaints =
    definition:
    lib.mapAttrs (
      _: host:
      map (assertion: lib.removePrefix "vrrp.lib.cluster: " assertion.message) (
        lib.filter (
          assertion: !assertion.assertion && lib.hasPrefix "vrrp.lib.cluster" assertion.message
        ) host.assertions
      )
    ) (cluster definition);

  # A mistake that both hosts report.
  mistake = definition: messages: {
    expr = complaints (lib.recursiveUpdate pair definition);
    expected = lib.genAttrs [ "one" "two" ] (_: lib.toList messages);
  };
in
{
  testEachHostHasItsOwnKeys = {
    expr = documents (
      pair
      // {
        common.trackers.httpd.script.command = [ "/usr/local/httpd.sh" ];
        hosts.one = {
          priority = 150;
        };
        hosts.two = {
          priority = 100;
          interface = "ens3";
        };
      }
    );
    expected =
      lib.mapAttrs
        (_: own: {
          syncGroups = { };
          trackers.httpd.script.command = [ "/usr/local/httpd.sh" ];
          instances.VI_1 = instance // own;
        })
        {
          one.priority = 150;
          two = {
            priority = 100;
            interface = "ens3";
          };
        };
  };

  testPeersAreTheOtherHosts = {
    expr = lib.mapAttrs (_: document: document.instances.VI_1.unicast.peers) (
      documents (
        lib.recursiveUpdate pair {
          hosts.three = {
            priority = 50;
            source = "192.168.224.13";
          };
          instances.VI_1.unicast = { };
        }
      )
    );
    expected = {
      one = [
        "192.168.224.13"
        "192.168.224.12"
      ];
      two = [
        "192.168.224.11"
        "192.168.224.13"
      ];
      three = [
        "192.168.224.11"
        "192.168.224.12"
      ];
    };
  };

  testTheClusterOfTheReadme = {
    expr = complaints (import ./example-cluster.nix);
    expected = {
      router1 = [ ];
      router2 = [ ];
    };
  };

  testAClusterWithoutMistakes = mistake { } [ ];

  testEqualPriorities =
    mistake { hosts.two.priority = 150; }
      "one and two have the same priority 150 for VI_1: write different ones, or add \"VI_1\" to equalPriorities: it will not fail back then.";

  testEqualPrioritiesOnPurpose = mistake {
    hosts.two.priority = 150;
    equalPriorities = [ "VI_1" ];
  } [ ];

  testTwoOwners =
    mistake
      {
        hosts.one.priority = 255;
        hosts.two.priority = 255;
        equalPriorities = [ "VI_1" ];
      }
      "one and two have the same priority 255 for VI_1: 255 is for the one host that owns the addresses.";

  testPrioritiesOfOneInstance =
    mistake
      {
        hosts.two.instances.VI_2.priority = 150;
        instances.VI_2 = instance // {
          virtualRouterId = 52;
          virtualAddresses = [ "192.168.224.101/24" ];
        };
      }
      "one and two have the same priority 150 for VI_2: write different ones, or add \"VI_2\" to equalPriorities: it will not fail back then.";

  testAHostWithoutPriority = {
    expr = complaints (
      pair
      // {
        hosts = {
          one.priority = 150;
          two = { };
        };
      }
    );
    expected = lib.genAttrs [ "one" "two" ] (_: [
      "hosts.two.priority is missing for VI_1: write 1 to 254, different on each host."
    ]);
  };

  testAHostWithoutAddress = {
    expr = complaints {
      hosts.one.priority = 150;
      hosts.two = {
        priority = 100;
        source = "192.168.224.12";
      };
      instances.VI_1 = instance // {
        unicast = { };
      };
    };
    expected = lib.genAttrs [ "one" "two" ] (_: [
      "hosts.one.source is missing for VI_1, whose peers are the other hosts: write the own address of one."
    ]);
  };

  testTheSameAddressOnTwoHosts = mistake {
    hosts.two.source = "192.168.224.11";
  } "one and two have the same source 192.168.224.11 for VI_1: write the own address of each host.";

  testAVirtualAddressAsSource =
    mistake
      {
        hosts.two.source = "192.168.224.100";
      }
      "hosts.two.source: 192.168.224.100 is a virtual address of VI_1: write an address that only two has.";

  testTheSameVridTwice =
    mistake
      {
        instances.VI_2 = instance // {
          virtualAddresses = [ "192.168.224.101/24" ];
        };
      }
      (
        map
          (
            host:
            "VI_1 and VI_2 have the same VRID on one interface of ${host}: choose another for one of them."
          )
          [
            "one"
            "two"
          ]
      );

  testASharedSettingOfOneHost =
    mistake
      {
        hosts.two.instances.VI_1.virtualRouterId = 52;
      }
      "hosts.two.instances.VI_1.virtualRouterId: must be the same on all hosts: write it once, in instances.NAME.virtualRouterId.";

  testAnInstanceThatIsNotDefined =
    mistake
      {
        hosts.two.instances.VI_2.priority = 50;
      }
      "hosts.two.instances names the instance \"VI_2\", which is not defined: define instances.VI_2, or correct the name (known: VI_1).";

  testASingleHost = {
    expr = complaints {
      hosts.one.priority = 100;
      instances.VI_1 = instance;
    };
    expected.one = [
      "hosts: one host has no backup: define at least two hosts, or use services.vrrp.instances."
    ];
  };
}
