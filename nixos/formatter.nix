# `nix fmt` and the check of the formatting: treefmt with the settings of treefmt.toml.
{ lib, pkgs }:
pkgs.treefmt.withConfig {
  runtimeInputs = [
    pkgs.deadnix
    pkgs.nixfmt
    pkgs.ruff
    pkgs.rustfmt
  ];
  settings = lib.importTOML ../treefmt.toml;
}
