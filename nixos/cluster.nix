# One definition for all hosts of a virtual router. Returns a NixOS module for each host:
#
#   vrrp.lib.cluster {
#     # Keys of an instance that differ between the hosts, such as `priority`, `source` and `interface`. They hold
#     # for all instances, those under `instances.NAME` for one.
#     hosts = {
#       router1.priority = 150;
#       router2.priority = 100;
#     };
#     # services.vrrp.instances, the same on all hosts. With `unicast` and without `unicast.peers` the peers are
#     # the `source` of the other hosts.
#     instances.VI_1 = {
#       interface = "eth1";
#       virtualRouterId = 51;
#       virtualAddresses = [ "192.0.2.100/24" ];
#     };
#     # Other options of services.vrrp, the same on all hosts. Default: none.
#     common.openFirewall = true;
#     # Names of instances that do not fail back: hosts may have the same priority. Default: none.
#     equalPriorities = [ ];
#   }
#
# The modules need nixosModules.default, and set services.vrrp.enable. Each of them has the assertions about all
# hosts, so that no host can be built from a cluster with a mistake.
{ lib }:
{
  hosts,
  instances,
  common ? { },
  equalPriorities ? [ ],
}:
let
  # Settings that the hosts must not have each for itself.
  shared = [
    "acceptMode"
    "advertInterval"
    "authentication"
    "unicast"
    "version"
    "virtualAddresses"
    "virtualRouterId"
  ];

  inherit (import ./instance.nix { inherit lib; }) addresses families;

  hostNames = lib.attrNames hosts;
  instanceNames = lib.attrNames instances;
  others = host: lib.remove host hostNames;

  # Keys of one instance on one host, without those that all hosts have.
  ownKeys =
    host: instance:
    lib.recursiveUpdate (removeAttrs hosts.${host} [ "instances" ]) (
      hosts.${host}.instances.${instance} or { }
    );

  withoutPeers = host: instance: lib.recursiveUpdate instances.${instance} (ownKeys host instance);

  needsPeers = instance: instances.${instance} ? unicast && !(instances.${instance} ? unicast.peers);

  onHost =
    host: instance:
    let
      definition = withoutPeers host instance;
      sources = lib.concatMap (other: lib.toList ((withoutPeers other instance).source or [ ])) (
        others host
      );
    in
    if needsPeers instance then
      lib.recursiveUpdate definition { unicast.peers = sources; }
    else
      definition;

  option = lib.showOption;

  # Elements of a list, each with the elements after it.
  pairs =
    list:
    lib.concatLists (
      lib.imap0 (
        index: first:
        map (second: {
          inherit first second;
        }) (lib.drop (index + 1) list)
      ) list
    );

  forEachInstance = check: lib.concatMap check instanceNames;

  # Pairs of hosts with the same value of a key of an instance.
  same =
    key: instance:
    lib.filter (
      { first, second }:
      let
        value = host: (withoutPeers host instance).${key} or null;
      in
      value first != null && value first == value second
    ) (pairs hostNames);

  mistakes =
    lib.optional (
      lib.length hostNames < 2
    ) "hosts: one host has no backup: define at least two hosts, or use services.vrrp.instances."
    ++ unknownInstances
    ++ separateSettings
    ++ missingPriorities
    ++ priorities
    ++ sources
    ++ virtualRouters;

  unknownInstances =
    let
      known = "known: ${lib.concatStringsSep ", " instanceNames}";
      check =
        path: name:
        lib.optional (!instances ? ${name})
          "${path} names the instance \"${name}\", which is not defined: define ${
            option [
              "instances"
              name
            ]
          }, or correct the name (${known}).";
      ofHost =
        host:
        lib.concatMap (check (option [
          "hosts"
          host
          "instances"
        ])) (lib.attrNames (hosts.${host}.instances or { }));
    in
    lib.concatMap ofHost hostNames ++ lib.concatMap (check "equalPriorities") equalPriorities;

  separateSettings =
    let
      found =
        path: keys:
        map (
          key:
          "${option (path ++ [ key ])}: must be the same on all hosts: write it once, in ${
            option [
              "instances"
              "NAME"
              key
            ]
          }."
        ) (lib.intersectLists shared (lib.attrNames keys));
      ofHost =
        host:
        found [ "hosts" host ] hosts.${host}
        ++ lib.concatLists (
          lib.mapAttrsToList (
            name:
            found [
              "hosts"
              host
              "instances"
              name
            ]
          ) (hosts.${host}.instances or { })
        );
    in
    lib.concatMap ofHost hostNames;

  missingPriorities = lib.concatMap (
    host:
    let
      lacking = lib.filter (instance: !withoutPeers host instance ? priority) instanceNames;
    in
    lib.optional (lacking != [ ])
      "${
        option [
          "hosts"
          host
          "priority"
        ]
      } is missing for ${lib.concatStringsSep ", " lacking}: write 1 to 254, different on each host."
  ) hostNames;

  priorities = forEachInstance (
    instance:
    map
      (
        { first, second }:
        let
          priority = (withoutPeers first instance).priority;
        in
        "${first} and ${second} have the same priority ${toString priority} for ${instance}: "
        + (
          if priority == 255 then
            "255 is for the one host that owns the addresses."
          else
            "write different ones, or add \"${instance}\" to equalPriorities: it will not fail back then."
        )
      )
      (
        lib.filter (
          { first, ... }:
          !lib.elem instance equalPriorities || (withoutPeers first instance).priority == 255
        ) (same "priority" instance)
      )
  );

  sources = forEachInstance (
    instance:
    let
      plain = map (address: lib.head (lib.splitString "/" address)) (addresses instances.${instance});
      source = host: (withoutPeers host instance).source or null;
    in
    map (
      { first, second }:
      "${first} and ${second} have the same source ${source first} for ${instance}: write the own address of each host."
    ) (same "source" instance)
    ++ lib.concatMap (
      host:
      let
        path = option [
          "hosts"
          host
          "source"
        ];
      in
      lib.optional (needsPeers instance && source host == null)
        "${path} is missing for ${instance}, whose peers are the other hosts: write the own address of ${host}."
      ++
        lib.optional (source host != null && lib.elem (source host) plain)
          "${path}: ${source host} is a virtual address of ${instance}: write an address that only ${host} has."
    ) hostNames
  );

  # The module asserts the same for the host that is built.
  virtualRouters = lib.concatMap (
    host:
    let
      place =
        instance:
        let
          definition = withoutPeers host instance;
        in
        [
          (definition.interface or null)
          (definition.virtualRouterId or null)
        ];
      isClash =
        { first, second }:
        !lib.elem null (place first)
        && place first == place second
        && lib.intersectLists (families instances.${first}) (families instances.${second}) != [ ];
    in
    map (
      { first, second }:
      "${first} and ${second} have the same VRID on one interface of ${host}: choose another for one of them."
    ) (lib.filter isClash (pairs instanceNames))
  ) hostNames;

  module = host: {
    _file = "cluster of ${lib.concatStringsSep ", " hostNames}";
    assertions = map (message: {
      assertion = false;
      message = "vrrp.lib.cluster: ${message}";
    }) mistakes;
    services.vrrp = lib.mkMerge [
      common
      {
        enable = true;
        instances = lib.genAttrs instanceNames (onHost host);
      }
    ];
  };
in
lib.genAttrs hostNames module
