# What the scripts use on every host.
{ pkgs, ... }:
{
  environment.systemPackages = [
    pkgs.curl
    pkgs.jq
  ];

  # Only the interfaces that a story names.
  virtualisation.vlans = [ ];
}
