# `nix fmt`, and what the check of the formatting compares with.
{ pkgs }:
pkgs.treefmt.withConfig {
  runtimeInputs = [
    pkgs.deadnix
    pkgs.nixfmt
    pkgs.ruff
    pkgs.rustfmt
  ];
  settings = {
    on-unmatched = "info";
    tree-root-file = "flake.nix";
    formatter = {
      # The files that it changes nothing in are clean: deadnix first, so that nixfmt has the last word.
      deadnix = {
        command = "deadnix";
        options = [ "--edit" ];
        includes = [ "*.nix" ];
        priority = 1;
      };
      nixfmt = {
        command = "nixfmt";
        includes = [ "*.nix" ];
        priority = 2;
      };
      ruff = {
        command = "ruff";
        options = [
          "format"
          "--line-length=100"
        ];
        includes = [ "*.py" ];
      };
      rustfmt = {
        command = "rustfmt";
        options = [
          "--edition"
          "2024"
        ];
        includes = [ "*.rs" ];
      };
    };
  };
}
