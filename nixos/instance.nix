# Properties of an instance, as it stands in the document.
{ lib }:
rec {
  # Some are texts, some objects.
  addresses = instance: map (entry: entry.address or entry) (instance.virtualAddresses or [ ]);

  family = address: if lib.hasInfix ":" address then "IPv6" else "IPv4";

  families = instance: lib.unique (map family (addresses instance));

  # Senders of advertisements with `unicast`: an address, or for a name every address of each family.
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

  # A length of time in seconds, as a number or as text.
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

  # Units that run while it is master, or null where it has no `resources`.
  resources =
    instance:
    let
      given = instance.resources or null;
    in
    if lib.isAttrs given then given.units or [ ] else given;

  # The unit that is active while the instance is master. Of the characters of names systemd escapes these two.
  target = name: "vrrp-master@${lib.replaceStrings [ "-" "@" ] [ "\\x2d" "\\x40" ] name}.target";

  # The interfaces of virtual MAC addresses (`VirtualDevice` in daemon/proto/src/params.rs), as patterns.
  devices = [ "vrrp*" ];

  hasVirtualMac = instance: instance.virtualMac or false != false;
}
