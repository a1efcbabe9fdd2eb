# Assertions about conflicts between values. The types of words.nix check single values, and `vrrpd check`
# checks everything else when the system is built.
{ config, lib, ... }:
let
  cfg = config.services.vrrp;

  inherit (import ./instance.nix { inherit lib; }) families;

  # Names of options, as they are written in a configuration.
  instanceOption = name: "services.vrrp.instances.${lib.showOption [ name ]}";
  trackerOption = name: "services.vrrp.trackers.${lib.showOption [ name ]}";

  instances = lib.attrsToList cfg.document.instances;
  trackers = lib.attrNames cfg.document.trackers;

  defaultVersion =
    (lib.importJSON ../daemon/config/schema.json)."$defs".Instance.properties.version.default;

  # An assertion that fails for each element with the `key` of an earlier element.
  repeated =
    key: message: elements:
    lib.concatLists (
      lib.imap0 (
        index: element:
        map (earlier: {
          assertion = false;
          message = message earlier element;
        }) (lib.take 1 (lib.filter (earlier: key earlier == key element) (lib.take index elements)))
      ) elements
    );

  nameOfTracker = follow: if lib.isAttrs follow then follow.tracker else follow;

  trackersAreDefined =
    let
      known = lib.optionalString (trackers != [ ]) " (known: ${lib.concatStringsSep ", " trackers})";
    in
    lib.concatMap (
      { name, value }:
      map (tracker: {
        assertion = lib.elem tracker trackers;
        message =
          "${instanceOption name}.track names the tracker \"${tracker}\", which is not defined: "
          + "define ${trackerOption tracker}, or correct the name${known}.";
      }) (map nameOfTracker (value.track or [ ]))
    ) instances;

  members = lib.concatMap (
    { name, value }:
    lib.imap0 (index: member: {
      inherit member;
      option = "services.vrrp.syncGroups.${lib.showOption [ name ]}.members[${toString index}]";
    }) (value.members or [ ])
  ) (lib.attrsToList cfg.document.syncGroups);

  membersAreDefined = map (
    { member, option }:
    {
      assertion = lib.elem member (map (instance: instance.name) instances);
      message =
        "${option} names the instance \"${member}\", which is not defined: "
        + "define ${instanceOption member}, or correct the name.";
    }
  ) members;

  membersAreInOneGroup = repeated ({ member, ... }: member) (
    earlier:
    { member, option }:
    "${option} names the instance \"${member}\", which is already in ${earlier.option}: "
    + "keep one of them."
  ) members;

  # In the protocol the addresses of each family are a separate virtual router.
  virtualRoutersAreDistinct =
    repeated
      ({ family, value, ... }: "${toString value.virtualRouterId} of ${family} on ${value.interface}")
      (
        earlier:
        {
          family,
          name,
          value,
        }:
        "${instanceOption name}.virtualRouterId: VRID ${toString value.virtualRouterId} is already used by "
        + "${instanceOption earlier.name} on ${value.interface} for ${family}: "
        + "choose another, or move the addresses to that instance."
      )
      (
        lib.concatMap ({ name, value }: map (family: { inherit family name value; }) (families value)) (
          lib.filter ({ value, ... }: value ? interface && value ? virtualRouterId) instances
        )
      );

  # A link-local address belongs to its link: several interfaces may have the same one.
  addressesAreDistinct =
    repeated
      (
        { address, link, ... }:
        let
          plain = lib.toLower (lib.head (lib.splitString "/" address));
          isLinkLocal = builtins.match "fe[89ab].:.*" plain != null;
        in
        [ plain ] ++ lib.optional isLinkLocal link
      )
      (
        earlier:
        { instance, address, ... }:
        "${instanceOption instance}.virtualAddresses: ${address} is already in "
        + "${instanceOption earlier.instance}.virtualAddresses: keep one of them."
      )
      (
        lib.concatMap (
          { name, value }:
          map (entry: {
            address = entry.address or entry;
            instance = name;
            link = entry.device or value.interface or null;
          }) (value.virtualAddresses or [ ])
        ) instances
      );

  oneInstanceSynchronisesConnections = repeated (_: true) (
    earlier:
    { name, ... }:
    "${instanceOption name}.lvsSyncInterface: ${instanceOption earlier.name}.lvsSyncInterface is set "
    + "already, and the kernel has one IPVS sync thread for all connections: keep one of them."
  ) (lib.filter ({ value, ... }: value ? lvsSyncInterface) instances);

  familiesFitTheVersion = map (
    { name, value }:
    {
      assertion = value.version or defaultVersion == 2 -> !lib.elem "IPv6" (families value);
      message =
        "${instanceOption name}.virtualAddresses: VRRP version 2 has no IPv6: "
        + "move these addresses to an instance with version = 3, or set advertise = false for them.";
    }
  ) instances;

  authenticationFitsTheVersion = map (
    { name, value }:
    {
      assertion = value ? authentication.pass -> value.version or defaultVersion == 2;
      message =
        "${instanceOption name}.authentication.pass: VRRP version 3 has no password: "
        + "use hmac, leave it out, or set ${instanceOption name}.version = 2.";
    }
  ) instances;

  vrfsHaveInstances =
    let
      interfaces = lib.concatMap (
        { value, ... }:
        lib.filter (interface: interface != null) [
          (value.interface or null)
          (value.lvsSyncInterface or null)
        ]
      ) instances;
    in
    map (interface: {
      assertion = lib.elem interface interfaces;
      message =
        "services.vrrp.vrfs.${lib.showOption [ interface ]}: no instance uses ${interface}: "
        + "correct the name, or remove it.";
    }) (lib.attrNames cfg.vrfs);

  # Files with secrets of an instance, by the option that names them.
  secretFiles =
    name: instance:
    let
      authentication = "${instanceOption name}.authentication";
      keys = instance.authentication.hmac.keys or { };
      keyFile = number: key: {
        name = "${authentication}.hmac.keys.\"${number}\".keyFile";
        value = key.keyFile or "";
      };
    in
    [
      {
        name = "${authentication}.pass.passwordFile";
        value = instance.authentication.pass.passwordFile or "";
      }
    ]
    ++ lib.mapAttrsToList keyFile keys;

  # A relative path names a credential that the operator defines.
  isInStore = value: lib.hasPrefix "/" value && !lib.types.externalPath.check value;

  secretsAreOutsideTheStore = map (
    { name, value }:
    {
      assertion = !isInStore value;
      message =
        "${name} is in the Nix store, which every user can read: "
        + "write the path of a file on the host as a string, such as \"/run/secrets/vrrp\".";
    }
  ) (lib.concatLists (lib.mapAttrsToList secretFiles cfg.settings.instances));
in
{
  config = lib.mkIf cfg.enable {
    assertions =
      trackersAreDefined
      ++ membersAreDefined
      ++ membersAreInOneGroup
      ++ virtualRoutersAreDistinct
      ++ addressesAreDistinct
      ++ oneInstanceSynchronisesConnections
      ++ familiesFitTheVersion
      ++ authenticationFitsTheVersion
      ++ vrfsHaveInstances
      ++ secretsAreOutsideTheStore;

    warnings =
      lib.optional (instances == [ ]) (
        "services.vrrp.enable is true, but no instance is defined, so the daemon has nothing to do: "
        + "define services.vrrp.instances."
      )
      ++ lib.concatMap (
        { name, value }:
        lib.optional (value ? authentication.pass.password) (
          "${instanceOption name}.authentication.pass.password is written into the Nix store, which every user "
          + "can read: use ${instanceOption name}.authentication.pass.passwordFile."
        )
        ++ lib.concatLists (
          lib.mapAttrsToList (
            number: key:
            lib.optional (key ? key) (
              "${instanceOption name}.authentication.hmac.keys.\"${number}\".key is written into the Nix store, "
              + "which every user can read: use keyFile instead."
            )
          ) (value.authentication.hmac.keys or { })
        )
      ) instances;
  };
}
