# The files that cargo needs, and no others, so that a change of a document or of the module rebuilds nothing.
{ lib }:
lib.fileset.toSource {
  root = ../.;
  fileset = lib.fileset.unions [
    ../Cargo.toml
    ../Cargo.lock
    ../clippy.toml
    ../rustfmt.toml
    ../daemon
  ];
}
