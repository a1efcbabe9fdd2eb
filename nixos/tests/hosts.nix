# Hosts of the tests: NixOS modules by name.
let
  # Options that NixOS requires of every host.
  bare = {
    boot.loader.grub.enable = false;
    fileSystems."/".device = "/dev/null";
    system.stateVersion = "26.05";
  };
  host = module: {
    imports = [
      bare
      module
    ];
  };
in
rec {
  inherit bare;

  # The smallest useful configuration.
  least = host {
    services.vrrp = {
      enable = true;
      instances.VI_1 = {
        interface = "eth1";
        virtualRouterId = 51;
        virtualAddresses = [ "192.168.224.100/24" ];
      };
    };
  };

  # Like `least`, with a changed value.
  changed = host {
    services.vrrp = {
      enable = true;
      instances.VI_1 = {
        interface = "eth1";
        virtualRouterId = 51;
        priority = 150;
        virtualAddresses = [ "192.168.224.100/24" ];
      };
    };
  };

  # With the exporter on an IPv6 address, and a port of its own in the firewall.
  monitored = host {
    services.vrrp = {
      enable = true;
      instances.VI_1 = {
        interface = "eth1";
        virtualRouterId = 51;
        virtualAddresses = [ "192.168.224.100/24" ];
      };
      exporter = {
        enable = true;
        listenAddress = "::";
        port = 9999;
        openFirewall = true;
      };
    };
  };

  # As many options as possible at once.
  most = host {
    services.vrrp = {
      enable = true;
      openFirewall = true;
      realtime = true;
      trackers = {
        httpd.script = {
          command = [ "/usr/local/httpd.sh" ];
          interval = 2;
          mayManage = [ "httpd.service" ];
        };
        nginx.script = {
          command = [ "/usr/local/nginx.sh" ];
          timeout = "500ms";
          rise = 2;
          fall = 3;
          mayManage = [
            "httpd.service"
            "nginx.service"
          ];
        };
        uplink.interface.name = "eth0";
      };
      instances.VI_1 = {
        state = "master";
        interface = "eth1";
        virtualRouterId = 51;
        priority = 150;
        version = 2;
        advertInterval = 1;
        preempt = false;
        acceptMode = false;
        authentication.pass.passwordFile = "/run/secrets/100%";
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
      instances."VI:2" = {
        interface = "eth2";
        virtualRouterId = 52;
        version = 2;
        authentication.pass.passwordFile = "relative";
        virtualAddresses = [ "192.168.198.100/24" ];
        lvsSyncInterface = "eth2";
        lvs.port = 8849;
      };
      # Keys set through `settings`, like those of a later daemon.
      settings.instances."VI:2".priority = 99;
      settings.syncGroups.VG_1.members = [
        "VI_1"
        "VI:2"
      ];
    };
  };

  # HMAC keys in files that only root may read, and one in a credential of the operator.
  signing = host {
    services.vrrp = {
      enable = true;
      instances."VI:1" = {
        interface = "eth1";
        virtualRouterId = 51;
        authentication.hmac = {
          keys."1".keyFile = "/run/secrets/vrrp";
          keys."2".keyFile = "/run/secrets/vrrp-next";
          keys."3".keyFile = "relative";
          activeKey = 1;
        };
        virtualAddresses = [ "192.168.224.100/24" ];
      };
    };
  };

  # The keys of an instance that `most` lacks: both families, routes and rules.
  whole = host {
    services.vrrp = {
      enable = true;
      openFirewall = true;
      instances.VI_1 = {
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
      # The same VRID on another interface is another virtual router.
      instances.VI_2 = {
        interface = "eth2";
        virtualRouterId = 51;
        virtualMac = true;
        virtualAddresses = [ { address = "2001:db8:2::100/64"; } ];
      };
    };
  };

  # Instances with resources, and a tracker that restarts its unit.
  moving = host {
    services.vrrp = {
      enable = true;
      trackers = {
        web.unit = {
          name = "nginx.service";
          restart.atMost = 5;
        };
        ssh.unit.name = "sshd.service";
        script.script = {
          command = [ "/usr/local/nginx.sh" ];
          mayManage = [ "nginx.service" ];
        };
      };
      instances = {
        "web-front@1" = {
          interface = "eth1";
          virtualRouterId = 51;
          track = [
            "web"
            "ssh"
            "script"
          ];
          virtualAddresses = [ "192.168.224.100/24" ];
          resources = [
            "httpd.service"
            "backup.timer"
          ];
        };
        VI_2 = {
          interface = "eth1";
          virtualRouterId = 52;
          virtualAddresses = [ "192.168.224.101/24" ];
          resources = {
            units = [ "database.service" ];
            handover = "after-stop";
          };
        };
        VI_3 = {
          interface = "eth1";
          virtualRouterId = 53;
          virtualAddresses = [ "192.168.224.102/24" ];
        };
      };
    };
  };

  # Scripts and notification programs of other users.
  users = host {
    services.vrrp = {
      enable = true;
      trackers.database.script = {
        command = [ "/usr/local/database.sh" ];
        user = "postgres";
      };
      syncGroups.all = {
        members = [ "VI_1" ];
        notify = {
          any = [ "/usr/local/mail.sh" ];
          user = "mail";
        };
      };
      instances.VI_1 = {
        interface = "eth1";
        virtualRouterId = 51;
        virtualAddresses = [ "192.168.224.100/24" ];
        track = [ "database" ];
        notify = {
          master = [ "/usr/local/web.sh" ];
          user = "web";
        };
      };
    };
  };

  # Unicast peers, by address and by name.
  unicast = host {
    services.vrrp = {
      enable = true;
      openFirewall = true;
      instances.VI_1 = {
        interface = "eth1";
        virtualRouterId = 51;
        unicast = {
          peers = [
            "192.168.224.11"
            "fe80::12"
          ];
          ttl = 64;
          minTtl = 254;
        };
        virtualAddresses = [
          "192.168.224.100/24"
          "2001:db8::100/64"
        ];
      };
      instances.VI_2 = {
        interface = "eth2";
        virtualRouterId = 52;
        unicast.peers = [ "router2.example" ];
        virtualAddresses = [ "2001:db8:2::100/64" ];
      };
    };
  };

  unicastNftables.imports = [
    unicast
    { networking.nftables.enable = true; }
  ];

  # Like `whole`, on a host without IPv6.
  withoutIpv6 = host {
    networking.enableIPv6 = false;
    services.vrrp = {
      enable = true;
      openFirewall = true;
      instances.VI_1 = {
        interface = "eth1";
        virtualRouterId = 51;
        virtualMac = false;
        virtualAddresses = [
          "192.168.224.100/24"
          "2001:db8::100/64"
        ];
      };
    };
  };

  # Like `most`, with nftables.
  nftables = host {
    networking.nftables.enable = true;
    services.vrrp = {
      enable = true;
      openFirewall = true;
      instances = {
        VI_1 = {
          interface = "eth1";
          virtualRouterId = 51;
          virtualAddresses = [ "192.168.224.100/24" ];
        };
        VI_2 = {
          interface = "eth2";
          virtualRouterId = 52;
          virtualAddresses = [
            "192.168.198.100/24"
            { address = "2001:db8::100/64"; }
          ];
          lvsSyncInterface = "eth1";
          lvs.group = "ff02::51";
        };
      };
    };
  };

  # Like `least`, with `settings` only.
  settingsAlone = host {
    services.vrrp = {
      enable = true;
      openFirewall = true;
      mayManage = [ "httpd.service" ];
      settings = {
        trackers.httpd.script.command = [ "/usr/local/httpd.sh" ];
        instances.VI_1 = {
          interface = "eth1";
          virtualRouterId = 51;
          track = [ "httpd" ];
          virtualAddresses = [ "192.168.224.100/24" ];
        };
      };
    };
  };

  # Values of a wrong type in `settings`, without the checks of options.nix.
  listInSettings = host {
    services.vrrp = {
      enable = true;
      settings.instances.VI_1.unicast = [ "192.168.224.12" ];
    };
  };
  textInSettings = host {
    services.vrrp = {
      enable = true;
      settings.trackers.chk = "/bin/true";
    };
  };

  # Programs as packages and paths.
  programs =
    { pkgs, ... }:
    {
      imports = [ bare ];
      services.vrrp = {
        enable = true;
        path = [ pkgs.curl ];
        trackers.page.script.command = [
          pkgs.curl
          "--fail"
        ];
        instances.VI_1 = {
          interface = "eth1";
          virtualRouterId = 51;
          notify.any = [ ./hosts.nix ];
          virtualAddresses = [ "192.168.224.100/24" ];
        };
      };
    };

  # Intervals around 1 s, as numbers and strings. eth7 sees the advertisements that a firewall drops.
  hasty = host {
    services.vrrp = {
      enable = true;
      instances =
        builtins.mapAttrs
          (name: advertInterval: {
            inherit advertInterval;
            interface = name;
            trustWire = name == "eth7";
            virtualRouterId = 51;
            virtualAddresses = [ "192.168.224.1/24" ];
          })
          {
            eth1 = "100ms";
            eth2 = 0.5;
            eth3 = "0.9s";
            eth4 = 1;
            eth5 = "1000ms";
            eth6 = "1m";
            eth7 = "100ms";
          };
    };
  };

  hastyNftables.imports = [
    hasty
    { networking.nftables.enable = true; }
  ];

  # Interfaces in VRFs, with each firewall.
  vrf = host {
    services.vrrp = {
      enable = true;
      openFirewall = true;
      vrfs.eth1 = "blue";
      instances.VI_1 = {
        interface = "eth1";
        virtualRouterId = 51;
        virtualAddresses = [ "192.168.224.100/24" ];
      };
    };
  };

  vrfNftables.imports = [
    vrf
    { networking.nftables.enable = true; }
  ];

  # A host without a reverse path filter.
  withoutReversePaths.imports = [
    vrf
    { networking.firewall.checkReversePath = false; }
  ];

  # The zone of NixOS in firewalld.
  firewalld.imports = [
    nftables
    { networking.firewall.backend = "firewalld"; }
  ];

  # Zones of the administrator: one that allows the protocol, and two that do not.
  firewalldZones.imports = [
    nftables
    {
      networking.firewall.backend = "firewalld";
      services.firewalld = {
        settings.DefaultZone = "public";
        zones = {
          inside = {
            interfaces = [ "eth1" ];
            protocols = [ "vrrp" ];
          };
          outside.interfaces = [ "eth2" ];
          other.interfaces = [ "eth3" ];
        };
      };
    }
  ];

  unchecked = host {
    services.vrrp = {
      enable = true;
      checkConfig = false;
    };
  };

  disabled = host {
    services.vrrp.instances.VI_1 = {
      interface = "eth1";
      virtualRouterId = 51;
      virtualAddresses = [ "192.168.224.100/24" ];
    };
  };
}
