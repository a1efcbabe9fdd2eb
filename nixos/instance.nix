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

  hasVirtualMac = instance: instance.virtualMac or false != false;
}
