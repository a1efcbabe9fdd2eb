# VM tests for the NixOS test driver: NAME.nix defines the hosts, NAME.py the test script.
{
  lib,
  pkgs,
  # `lib.cluster` of the flake.
  cluster,
  # NixOS module services.vrrp, with the daemon of this flake as package.
  module,
  # Package of the daemon.
  vrrpd,
}:
let
  # Type of a duration in the driver: since NixOS 26.11 a timedelta, before that a number of seconds.
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
      _module.args = { inherit cluster vrrpd; };

      # Plain Python, which vm-tests/qemu runs as well.
      testScript = seconds + builtins.readFile ./common.py + builtins.readFile ./${name}.py;
      # The slowest test takes three minutes with KVM.
      globalTimeout = 30 * 60;

      # For `nix run .#lab`: root is logged in on each host.
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
