# Translates the settings into the content of /etc/vrrpd/config.json, as a pure function:
#
#   document     the configuration as the daemon reads it
#   credentials  the files that systemd passes to the daemon, by the names that `document` uses
{ lib }:
settings:
let
  # The configuration of the daemon has no null.
  written = import ./without.nix { inherit lib; } (value: value == null) settings;

  # The daemon may not read a file that only root may read. systemd may, and passes it to the daemon as a
  # credential, whose name must not contain a colon.
  secrets = lib.concatLists (lib.mapAttrsToList secretsOf (written.instances or { }));

  # Secrets of an instance that are in files: path of the key in its definition, file, and name of the
  # credential.
  secretsOf =
    instance: definition:
    let
      secret = place: name: {
        inherit instance place;
        path = lib.attrByPath place "" definition;
        name = "${lib.replaceStrings [ ":" ] [ "," ] instance}.${name}";
      };
      key =
        number:
        secret [
          "authentication"
          "hmac"
          "keys"
          number
          "keyFile"
        ] "key${number}";
      password = secret [
        "authentication"
        "pass"
        "passwordFile"
      ] "password";
      keys = lib.attrNames (definition.authentication.hmac.keys or { });
    in
    lib.filter (secret: lib.hasPrefix "/" (toString secret.path)) ([ password ] ++ map key keys);
in
{
  document = lib.foldl' (
    document: secret:
    lib.recursiveUpdate document {
      instances.${secret.instance} = lib.setAttrByPath secret.place secret.name;
    }
  ) written secrets;
  credentials = lib.listToAttrs (map (secret: lib.nameValuePair secret.name secret.path) secrets);
}
