# Properties of an instance of the document.
{ lib }:
rec {
  # An entry is a string or an object.
  addresses = instance: map (entry: entry.address or entry) (instance.virtualAddresses or [ ]);

  family = address: if lib.hasInfix ":" address then "IPv6" else "IPv4";

  families = instance: lib.unique (map family (addresses instance));

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
