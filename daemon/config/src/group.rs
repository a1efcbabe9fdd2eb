//! Sync groups in the configuration: instances that change their state together.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::field::Field;
use crate::notify::Notify;
use crate::tracker::Follow;

/// Sync group: its instances are all master or all backup on a host, and all in fault when one of
/// them is, so that a host that cannot serve with one instance gives up all of them. All hosts of
/// the virtual routers need the same groups.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SyncGroup {
    /// Names of the instances, at least 1. An instance is in at most one group and has no priority
    /// of 255. The order has to be the same on all hosts: the first member in which the priorities
    /// of two hosts differ decides the election. The longest `preemptDelay` and `startupDelay` of
    /// the members count for all of them, and so do the weights of their trackers. The group
    /// preempts a master of lower priority only if all members may (`preempt`).
    #[schemars(length(min = 1))]
    pub(crate) members: Field<Vec<Field<String>>>,
    /// Trackers that all instances of the group follow in addition to their own; a tracker with the
    /// same weight counts once. Default: none.
    #[serde(default = "none")]
    pub(crate) track: Field<Vec<Field<Follow>>>,
    /// Programs that the daemon runs when all instances of the group have changed their state. The
    /// programs of the instances are run as well. Default: none.
    #[serde(default)]
    pub(crate) notify: Field<Notify>,
}

const fn none() -> Field<Vec<Field<Follow>>> {
    Field::Value(Vec::new())
}
