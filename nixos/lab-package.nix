# The lab: experiments, tests and the benchmark on hosts that are network namespaces.
{
  lib,
  makeWrapper,
  rustPlatform,
  vrrpd,
}:
rustPlatform.buildRustPackage {
  pname = "vrrp-lab";
  inherit (vrrpd) version src;

  cargoLock.lockFile = ../Cargo.lock;
  cargoBuildFlags = [ "--package=vrrp-lab" ];
  # Its tests need namespaces; see package.nix.
  doCheck = false;

  nativeBuildInputs = [ makeWrapper ];
  postInstall = ''
    wrapProgram $out/bin/vrrp-lab --set-default VRRPD ${lib.getExe vrrpd}
  '';

  meta = vrrpd.meta // {
    description = "Experiments with VRRP on one machine, without root";
    mainProgram = "vrrp-lab";
  };
}
