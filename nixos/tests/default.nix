# Tests of the module by evaluation: an expression and its expected value. A failure throws an error that
# shows both.
{
  lib,
  pkgs,
  # Evaluates a module to a NixOS host.
  evalHost,
  # Likewise, without the options of ../options.nix.
  evalHostBySettings,
}:
let
  modules = import ./hosts.nix;

  later = import ./later.nix {
    inherit lib;
    inherit (evalHost modules.bare) options;
  };
  eval =
    evalHost: module:
    (evalHost {
      imports = [ module ] ++ later;
    }).config;
  hosts = lib.mapAttrs (_: eval evalHost) modules;
  withoutOptions = lib.mapAttrs (_: eval evalHostBySettings) modules;

  ring =
    name: tests:
    let
      failures = lib.runTests tests;
      tell =
        {
          name,
          expected,
          result,
        }:
        "${name}\n  expected: ${lib.generators.toPretty { indent = "  "; } expected}\n"
        + "  result:   ${lib.generators.toPretty { indent = "  "; } result}";
    in
    if failures == [ ] then
      pkgs.writeText "vrrp-module-${name}" "${toString (lib.length (lib.attrNames tests))} tests\n"
    else
      throw "nixos/tests/${name}.nix: ${lib.concatMapStringsSep "\n" tell failures}";
in
lib.mapAttrs' (name: tests: lib.nameValuePair "module-${name}" (ring name tests)) {
  cluster = import ./cluster.nix {
    inherit lib;
    evalHost = eval evalHost;
  };
  configuration = import ./configuration.nix { inherit hosts lib withoutOptions; };
  exporter = import ./exporter.nix { inherit hosts lib; };
  firewall = import ./firewall.nix { inherit hosts lib; };
  mistakes = import ./mistakes.nix {
    inherit lib pkgs;
    evalHost = eval evalHost;
  };
  unit = import ./unit.nix { inherit hosts lib; };
}
