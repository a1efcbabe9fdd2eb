//! Parameters of the services.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use vrrp_config::{Command, Loaded, Probe};
use vrrp_proto::notify::{Notify, Subject};
use vrrp_proto::params::{NodeParams, RouterParams};

use super::resources::{Configured, configured};

/// Parts of a configuration that the services carry out.
pub(crate) struct ServiceParams {
    /// Parameters of the node, to compare with those of a later reload.
    pub(super) node: Arc<NodeParams>,
    /// Probe of each tracker.
    pub(super) probes: BTreeMap<Arc<str>, Probe>,
    /// Notification settings.
    pub(super) notify: BTreeMap<Subject, Notify<Arc<Command>>>,
    /// Resources of the routers.
    pub(super) resources: Configured,
    /// Names of peers to resolve.
    pub(super) names: BTreeSet<Arc<str>>,
    /// Longest time from the request to stop to the end of the node.
    pub(super) longest_hand_over: Duration,
}

impl ServiceParams {
    /// Names of the users that run programs.
    pub(super) fn users(&self) -> BTreeSet<String> {
        let scripts = self.probes.values().filter_map(|probe| match probe {
            Probe::Script(script) => script.user.clone(),
            Probe::File(_)
            | Probe::Process(_)
            | Probe::Ping(_)
            | Probe::Tcp(_)
            | Probe::Http(_)
            | Probe::Unit(_)
            | Probe::Route(_) => None,
        });
        let commands = self.notify.values().flat_map(Notify::all_commands);
        scripts
            .chain(commands.filter_map(|command| command.user.clone()))
            .collect()
    }

    /// Divides a configuration between the node and the services. Its warnings are left out.
    pub(crate) fn split(loaded: Loaded) -> (NodeParams, Self) {
        let Loaded {
            node,
            probes,
            notify,
            resources,
            warnings: _,
            skipped: _,
        } = loaded;
        let routers = node.routers.values();
        let hand_overs = routers.map(RouterParams::longest_hand_over);
        let params = Self {
            longest_hand_over: hand_overs.max().unwrap_or_default(),
            node: Arc::new(node.clone()),
            probes,
            notify,
            resources: configured(&node, resources),
            names: node.peer_names(),
        };
        (node, params)
    }
}
