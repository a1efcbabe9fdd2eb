# Polkit rules for the user of the daemon and for the user of its scripts. They cover the units that a check script
# lists in `mayManage`, and those that the daemon manages: the units that a tracker restarts, and the resources of
# instances with their targets. Only the verbs that are used for each of them are allowed.
{ config, lib, ... }:
let
  cfg = config.services.vrrp;

  inherit (import ./instance.nix { inherit lib; }) resources target;

  restarts = value: value != null && value != false;
  restarted = lib.concatMap (
    tracker: lib.optional (restarts (tracker.unit.restart or null)) tracker.unit.name
  ) (lib.filter (tracker: tracker ? unit.name) (lib.attrValues cfg.document.trackers));

  managed = lib.unique cfg.mayManage;

  followers = lib.concatLists (
    lib.mapAttrsToList (
      name: instance:
      let
        units = resources instance;
      in
      lib.optionals (units != null) ([ (target name) ] ++ units)
    ) cfg.document.instances
  );

  # Allowed verbs of each unit, by verb.
  rights =
    units:
    lib.mapAttrs (_: lib.concatMap (right: right.verbs)) (
      lib.groupBy (right: right.unit) (
        lib.concatLists (
          lib.mapAttrsToList (
            verb: units:
            map (unit: {
              inherit unit;
              verbs = [ verb ];
            }) (lib.unique units)
          ) units
        )
      )
    );

  # Rights of each user.
  allowed = lib.filterAttrs (_: units: units != { }) {
    vrrp = rights {
      start = restarted ++ followers;
      stop = followers;
    };
    vrrp-scripts = rights {
      start = managed;
      restart = managed;
    };
  };
in
{
  config = lib.mkIf (cfg.enable && allowed != { }) {
    security.polkit.enable = true;
    security.polkit.extraConfig = ''
      polkit.addRule(function (action, subject) {
        var rights = ${builtins.toJSON allowed};
        if (
          action.id === "org.freedesktop.systemd1.manage-units" &&
          ((rights[subject.user] || {})[action.lookup("unit")] || []).indexOf(action.lookup("verb")) >= 0
        ) {
          return polkit.Result.YES;
        }
      });
    '';

    # The daemon's requests have a timeout, so the first one must not wait for the start of polkit.
    systemd.services.vrrp.wants = [ "polkit.service" ];
    # Not after the resources of a master: their stop would wait for the stop of the daemon, which waits for
    # them.
    systemd.services.vrrp.after = managed;
  };
}
