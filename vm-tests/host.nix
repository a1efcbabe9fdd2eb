# Programs that the test scripts use on every host.
{ pkgs, ... }:
{
  environment.systemPackages = [
    pkgs.curl
    pkgs.jq
  ];

  # No interfaces except those that a test defines.
  virtualisation.vlans = [ ];
}
