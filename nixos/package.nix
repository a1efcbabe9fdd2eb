# The daemon.
{
  installShellFiles,
  lib,
  rustPlatform,
  stdenv,
  testers,
  # In nixpkgs since 24.11.
  versionCheckHook ? null,
  # VM tests and others, by name; passed by the flake.
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
    # The crates `linux` and `lab` test in namespaces with their own devices, which the build sandbox does not
    # allow. `.ci/run` and the VM tests cover them.
    cargoTestFlags = [
      "--package=vrrp-proto"
      "--package=vrrp-config"
      "--package=vrrp-import"
      "--package=vrrp-node"
      "--package=vrrpd"
    ];

    # The debug profile, as with `cargo test`, for its assertions.
    checkType = "debug";

    nativeBuildInputs = [ installShellFiles ];
    # The program generates its manual pages and shell completions.
    postInstall = ''
      install -Dm644 -t $out/lib/systemd/system daemon/vrrpd/systemd/*
    ''
    + lib.optionalString canRun ''
      installManPage --name vrrpd.8 <($out/bin/vrrpd man 8)
      installManPage --name vrrpd.json.5 <($out/bin/vrrpd man 5)
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
    # Only set once the project has been published.
    // lib.optionalAttrs (workspace.package ? repository) {
      homepage = workspace.package.repository;
      changelog = "${workspace.package.repository}/blob/v${version}/CHANGELOG.md";
    };
  };
in
vrrpd
