# Checks of the flake, besides the packages and the VM tests.
{
  lib,
  pkgs,
  self,
  vrrpd,
  option-docs,
}:
let
  # The build of the daemon with another build command.
  cargo =
    name: command:
    vrrpd.overrideAttrs (old: {
      pname = name;
      nativeBuildInputs = old.nativeBuildInputs or [ ] ++ [
        pkgs.clippy
        pkgs.rustfmt
      ];
      buildPhase = ''
        runHook preBuild
        ${command}
        runHook postBuild
      '';
      doCheck = false;
      doInstallCheck = false;
      installPhase = "touch $out";
      dontFixup = true;
    });

  evalHostWith =
    vrrp: module:
    lib.nixosSystem {
      inherit (pkgs.stdenv.hostPlatform) system;
      modules = [
        vrrp
        module
      ];
    };
in
{
  clippy = cargo "vrrp-clippy" ''
    cargo clippy --workspace --all-targets --offline --locked -- --deny warnings
  '';

  # Tests that need no namespaces; see package.nix.
  unit-tests = cargo "vrrp-unit-tests" ''
    cargo test --workspace --lib --bins --offline --locked
  '';

  formatting =
    pkgs.runCommand "vrrp-formatting"
      {
        nativeBuildInputs = [ self.formatter.${pkgs.stdenv.hostPlatform.system} ];
        src = lib.fileset.toSource {
          root = ../.;
          fileset = lib.fileset.unions [
            ../flake.nix
            ../rustfmt.toml
            ../daemon
            ../nixos
            ../vm-tests
          ];
        };
      }
      ''
        cp --recursive --no-preserve=mode $src project
        cd project
        treefmt --ci --no-cache
        touch $out
      '';

  readme = import ./tests/readme.nix { inherit lib pkgs; };

  option-docs = import ./tests/option-docs.nix { inherit lib option-docs pkgs; };
}
// import ./tests {
  inherit lib pkgs;
  evalHost = evalHostWith self.nixosModules.vrrp;
  evalHostBySettings = evalHostWith self.nixosModules.settings;
}
