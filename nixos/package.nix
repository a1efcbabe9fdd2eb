# The daemon.
{
  installShellFiles,
  lib,
  rustPlatform,
  stdenv,
  testers,
  # VM tests and others, by name; the flake hands them in.
  tests ? { },
}:
let
  inherit (lib.importTOML ../Cargo.toml) workspace;

  vrrpd = rustPlatform.buildRustPackage {
    pname = "vrrpd";
    inherit (workspace.package) version;

    src = import ./source.nix { inherit lib; };
    cargoLock.lockFile = ../Cargo.lock;

    cargoBuildFlags = [ "--package=vrrpd" ];
    # The crates `linux` and `lab` test in namespaces with devices of their own, which the build's
    # sandbox does not give; `.ci/run` and the VM tests run what they cover.
    cargoTestFlags = [
      "--package=vrrp-proto"
      "--package=vrrp-config"
      "--package=vrrpd"
    ];

    nativeBuildInputs = [ installShellFiles ];
    # The program writes them itself, when the machine that builds can run what it builds.
    postInstall = ''
      install -Dm644 -t $out/lib/systemd/system daemon/vrrpd/systemd/*
    ''
    + lib.optionalString (stdenv.buildPlatform.system == stdenv.hostPlatform.system) ''
      installManPage --name vrrpd.8 <($out/bin/vrrpd man)
      installShellCompletion --cmd vrrpd \
        --bash <($out/bin/vrrpd completions bash) \
        --fish <($out/bin/vrrpd completions fish) \
        --zsh <($out/bin/vrrpd completions zsh)
    '';

    passthru.tests = tests // {
      version = testers.testVersion { package = vrrpd; };
    };

    meta = {
      description = "VRRP daemon: virtual IP addresses that several hosts share";
      license = lib.licenses.mit;
      platforms = lib.platforms.linux;
      mainProgram = "vrrpd";
    };
  };
in
vrrpd
