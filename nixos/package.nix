# The daemon.
{
  installShellFiles,
  lib,
  rustPlatform,
  stdenv,
  testers,
  # In nixpkgs since 24.11.
  versionCheckHook ? null,
  # VM tests and others, by name; the flake hands them in.
  tests ? { },
}:
let
  inherit (lib.importTOML ../Cargo.toml) workspace;
  inherit (workspace.package) version;

  canRun = import ./can-run.nix { inherit stdenv; };

  vrrpd = rustPlatform.buildRustPackage {
    pname = "vrrpd";
    inherit version;

    src = import ./source.nix { inherit lib; };
    cargoLock.lockFile = ../Cargo.lock;

    cargoBuildFlags = [ "--package=vrrpd" ];
    # The crates `linux` and `lab` test in namespaces with devices of their own, which the build's
    # sandbox does not give; `.ci/run` and the VM tests run what they cover.
    cargoTestFlags = [
      "--package=vrrp-proto"
      "--package=vrrp-config"
      "--package=vrrp-node"
      "--package=vrrpd"
    ];

    # As `cargo test` runs them, with the assertions of debug builds.
    checkType = "debug";

    nativeBuildInputs = [ installShellFiles ];
    # The program writes manual and completions itself.
    postInstall = ''
      install -Dm644 -t $out/lib/systemd/system daemon/vrrpd/systemd/*
    ''
    + lib.optionalString canRun ''
      installManPage --name vrrpd.8 <($out/bin/vrrpd man)
      installShellCompletion --cmd vrrpd \
        --bash <($out/bin/vrrpd completions bash) \
        --fish <($out/bin/vrrpd completions fish) \
        --zsh <($out/bin/vrrpd completions zsh)
    '';

    doInstallCheck = canRun && versionCheckHook != null;
    nativeInstallCheckInputs = lib.optional (versionCheckHook != null) versionCheckHook;

    passthru.tests = tests // {
      version = testers.testVersion { package = vrrpd; };
    };

    meta = {
      description = "VRRP daemon: virtual IP addresses that several hosts share";
      license = lib.licenses.mit;
      platforms = lib.platforms.linux;
      mainProgram = "vrrpd";
    }
    # Where it is published.
    // lib.optionalAttrs (workspace.package ? repository) {
      homepage = workspace.package.repository;
      changelog = "${workspace.package.repository}/blob/v${version}/CHANGELOG.md";
    };
  };
in
vrrpd
