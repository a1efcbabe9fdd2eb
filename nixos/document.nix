# From the settings to what stands in /etc/vrrpd/config.json: a pure function.
#
#   document     the configuration as the daemon reads it
#   credentials  the files that systemd hands to the daemon, by the names that `document` has for them
{ lib }:
settings:
let
  # The daemon knows no null.
  written = import ./without-null.nix { inherit lib; } settings;

  # The daemon has no right to read an absolute path that only root may read. systemd has, and
  # gives it to the daemon as a credential, whose name must not hold a colon.
  secrets = lib.mapAttrs' (
    instance:
    { authentication, ... }:
    lib.nameValuePair "${lib.replaceStrings [ ":" ] [ "," ] instance}.password" {
      inherit instance;
      path = authentication.pass.passwordFile;
    }
  ) (lib.filterAttrs (_: hasSecret) (written.instances or { }));

  hasSecret =
    instance: lib.hasPrefix "/" (toString (instance.authentication.pass.passwordFile or ""));
in
{
  document = lib.recursiveUpdate written (
    lib.optionalAttrs (secrets != { }) {
      instances = lib.mapAttrs' (
        name: secret: lib.nameValuePair secret.instance { authentication.pass.passwordFile = name; }
      ) secrets;
    }
  );
  credentials = lib.mapAttrs (_: secret: secret.path) secrets;
}
