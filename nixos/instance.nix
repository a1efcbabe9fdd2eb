# Properties of an instance of the document.
{ lib }:
rec {
  # An entry is a string or an object.
  addresses = instance: map (entry: entry.address or entry) (instance.virtualAddresses or [ ]);

  family = address: if lib.hasInfix ":" address then "IPv6" else "IPv4";

  # Families of the advertisements (`spoken_families` in daemon/proto/src/params.rs): those of the advertised
  # addresses. Without one it is the family of the source, of the first peer by address, or of the first
  # address.
  families =
    instance:
    let
      entries = instance.virtualAddresses or [ ];
      advertised = lib.filter (entry: entry.advertise or true) entries;
      isAddress = peer: lib.hasInfix ":" peer || builtins.match "[0-9.]+" peer != null;
      hints =
        lib.optional (instance ? source) instance.source
        ++ lib.filter isAddress (instance.unicast.peers or [ ])
        ++ addresses instance;
    in
    if advertised != [ ] then
      lib.unique (map (entry: family (entry.address or entry)) advertised)
    else if instance.version or 3 == 2 || hints == [ ] then
      [ "IPv4" ]
    else
      [ (family (lib.head hints)) ];

  # Senders of advertisements with `unicast`: an address, or for a name any address of each family.
  peers =
    instance:
    lib.concatMap (
      peer:
      if lib.hasInfix ":" peer || builtins.match "[0-9.]+" peer != null then
        [
          {
            family = family peer;
            source = peer;
          }
        ]
      else
        map (family: { inherit family; }) (families instance)
    ) (instance.unicast.peers or [ ]);

  # A duration in seconds, from a number or a string.
  seconds =
    time:
    let
      parts = builtins.match "([0-9]+([.][0-9]+)?)(ms|s|m|h)" time;
      factors = {
        ms = 0.001;
        s = 1;
        m = 60;
        h = 3600;
      };
    in
    if !lib.isString time then
      time
    else if parts == null then
      null
    else
      builtins.fromJSON (lib.head parts) * factors.${lib.last parts};

  # Resources of the instance, or null if it has none.
  resources =
    instance:
    let
      given = instance.resources or null;
    in
    if lib.isAttrs given then given.units or [ ] else given;

  # The target that is active while the instance is master. systemd escapes these two of the characters that
  # names may contain.
  target = name: "vrrp-master@${lib.replaceStrings [ "-" "@" ] [ "\\x2d" "\\x40" ] name}.target";

  # Name patterns of the interfaces with virtual MAC addresses (`VirtualDevice` in
  # daemon/proto/src/params.rs).
  devices = [ "vrrp*" ];

  hasVirtualMac = instance: instance.virtualMac or false != false;
}
