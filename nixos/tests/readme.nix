# Checks that the README shows the configuration that the VM test `httpd` uses, in at most 15 lines.
{ lib, pkgs }:
let
  master = builtins.readFile ../../vm-tests/httpd/master.nix;
  backup = builtins.readFile ../../vm-tests/httpd/backup.nix;

  lines = lib.splitString "\n" (lib.trim master);
  indented = lib.concatMapStringsSep "\n" (line: "    ${line}") lines;
  shown = lib.hasInfix indented (builtins.readFile ../../README.md);
in
assert lib.assertMsg (lib.length lines <= 15) "vm-tests/httpd/master.nix has more than 15 lines";
assert lib.assertMsg (
  backup == lib.replaceStrings [ "priority = 100;" ] [ "priority = 99;" ] master
) "vm-tests/httpd/backup.nix differs from master.nix in more than the priority";
assert lib.assertMsg shown "README.md does not show vm-tests/httpd/master.nix, indented by four";
pkgs.writeText "vrrp-readme-is-current" ""
