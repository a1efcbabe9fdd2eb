# What has to be known of an instance, as it stands in the document.
{ lib }:
rec {
  # Some are texts, some objects.
  addresses = instance: map (entry: entry.address or entry) (instance.virtualAddresses or [ ]);

  family = address: if lib.hasInfix ":" address then "IPv6" else "IPv4";

  families = instance: lib.unique (map family (addresses instance));

  hasVirtualMac = instance: instance.virtualMac or false != false;
}
