# Checks that the README shows the configuration that the VM test `httpd` uses, in at most 15 lines, and the
# cluster that the test `module-cluster` evaluates.
{ lib, pkgs }:
let
  master = builtins.readFile ../../vm-tests/httpd/master.nix;
  backup = builtins.readFile ../../vm-tests/httpd/backup.nix;

  cluster = builtins.readFile ./example-cluster.nix;

  lines = text: lib.splitString "\n" (lib.trim text);
  indented = text: lib.concatMapStringsSep "\n" (line: "    ${line}") (lines text);
  isShown = text: lib.hasInfix (indented text) (builtins.readFile ../../README.md);
in
assert lib.assertMsg (
  lib.length (lines master) <= 15
) "vm-tests/httpd/master.nix has more than 15 lines";
assert lib.assertMsg (
  backup == lib.replaceStrings [ "priority = 100;" ] [ "priority = 99;" ] master
) "vm-tests/httpd/backup.nix differs from master.nix in more than the priority";
assert lib.assertMsg (isShown master)
  "README.md does not show vm-tests/httpd/master.nix, indented by four";
assert lib.assertMsg (isShown cluster)
  "README.md does not show nixos/tests/example-cluster.nix, indented by four";
pkgs.writeText "vrrp-readme-is-current" ""
