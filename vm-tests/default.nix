# The stories, each played by virtual machines: NAME.nix is the hosts, NAME.py what happens.
{
  lib,
  pkgs,
  # services.vrrp, with the daemon of this flake.
  module,
  # That daemon.
  vrrpd,
}:
let
  # A length of time as the driver takes it: since NixOS 26.11 a timedelta, before that a number of seconds.
  seconds =
    if lib.versionAtLeast lib.trivial.release "26.11" then
      ''
        import datetime


        def seconds(count: int) -> datetime.timedelta:
            return datetime.timedelta(seconds=count)


      ''
    else
      "seconds = int\n\n\n";

  story =
    name:
    pkgs.testers.runNixOSTest {
      imports = [ ./${name}.nix ];

      name = "vrrp-${name}";
      defaults.imports = [
        module
        ./host.nix
      ];
      _module.args = { inherit vrrpd; };

      # Python that another driver with the same names can run as well.
      testScript = seconds + builtins.readFile ./common.py + builtins.readFile ./${name}.py;
      # The slowest story takes three minutes with KVM.
      globalTimeout = 30 * 60;

      # For `nix run .#lab`: a prompt on each.
      interactive.defaults.services.getty.autologinUser = "root";
    };
in
lib.genAttrs [
  "dual-nic"
  "dual-nic-group"
  "firewall"
  "hardening"
  "httpd"
  "interfaces"
  "ipv6-vmac"
  "keepalived"
  "lvs"
  "reload"
  "resources"
] story
