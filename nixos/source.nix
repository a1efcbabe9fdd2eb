# The files that cargo needs, and no others, so that a change of the module or of a document rebuilds nothing.
# docs/configuration.md is generated from the crates, and their tests compare it.
{ lib }:
lib.fileset.toSource {
  root = ../.;
  fileset = lib.fileset.unions [
    ../Cargo.toml
    ../Cargo.lock
    ../clippy.toml
    ../rustfmt.toml
    ../daemon
    ../docs/configuration.md
  ];
}
