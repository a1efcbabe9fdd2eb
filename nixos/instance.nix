# What has to be known of an instance, as it stands in the document.
{ lib }:
rec {
  # Some are texts, some objects.
  addresses = instance: map (entry: entry.address or entry) (instance.virtualAddresses or [ ]);

  family = address: if lib.hasInfix ":" address then "IPv6" else "IPv4";

  families = instance: lib.unique (map family (addresses instance));

  # Of whom advertisements come: of an address, or, where it is a name, of anybody in each family.
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
    ) instance.unicast.peers;

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

  # The units that run where it is master, or null where it says nothing of them.
  resources =
    instance:
    let
      given = instance.resources or null;
    in
    if lib.isAttrs given then given.units or [ ] else given;

  # The unit that stands for its being master. Of what a name may have, systemd escapes these two.
  target = name: "vrrp-master@${lib.replaceStrings [ "-" "@" ] [ "\\x2d" "\\x40" ] name}.target";

  # The interfaces of virtual MAC addresses (`VirtualDevice` in daemon/proto/src/params.rs), as patterns.
  devices = [
    "vrrp4.*"
    "vrrp6.*"
  ];

  hasVirtualMac = instance: instance.virtualMac or false != false;
}
