//! Declarations of all metrics: name, type, help and value of each in one place.
//!
//! The label of an instance is `vrrp_instance`, because Prometheus gives each target a label `instance`. Names
//! and units follow <https://prometheus.io/docs/practices/naming/>.

use vrrp_proto::State;
use vrrp_proto::operator::CommandKind;
use vrrp_proto::snapshot::{
    DaemonStatus, GroupStatus, NotifyStatus, RouterStatus, Snapshot, TrackerStatus,
};
use vrrp_proto::wire::{DropCause, DropCounts};

use super::text::{Format, Kind, Page, Samples};

/// A metric of objects of type `T`.
struct Metric<T> {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    /// Adds the samples of one object.
    sample: fn(&T, &mut Samples<'_>),
}

/// A metric whose value only grows while the daemon runs.
const fn counter<T>(
    name: &'static str,
    help: &'static str,
    sample: fn(&T, &mut Samples<'_>),
) -> Metric<T> {
    Metric {
        name,
        kind: Kind::Counter,
        help,
        sample,
    }
}

/// A metric with a value of this moment.
const fn gauge<T>(
    name: &'static str,
    help: &'static str,
    sample: fn(&T, &mut Samples<'_>),
) -> Metric<T> {
    Metric {
        name,
        kind: Kind::Gauge,
        help,
        sample,
    }
}

/// Metrics that exist without a daemon, too: whether it has answered.
const ANSWER: &[Metric<bool>] = &[gauge(
    "vrrp_up",
    "Whether the daemon answered: 1 or 0.",
    |answered, out| out.flag(*answered),
)];

const DAEMON: &[Metric<DaemonStatus>] = &[
    gauge(
        "vrrp_build_info",
        "Version of the running daemon; always 1.",
        |daemon, out| out.with(&[("version", &daemon.version)]).flag(true),
    ),
    gauge(
        "vrrp_start_time_seconds",
        "Start of the daemon's process, in seconds since the Unix epoch.",
        |daemon, out| out.number(daemon.started_at),
    ),
    counter(
        "vrrp_config_reloads_total",
        "Reloads of the configuration by result: success or failure.",
        |daemon, out| {
            out.with(&[("result", "success")]).count(daemon.reloads);
            let mut failures = out.with(&[("result", "failure")]);
            failures.count(daemon.failed_reloads);
        },
    ),
    gauge(
        "vrrp_config_last_reload_successful",
        "Whether the last reload succeeded (1), or the former configuration stayed in force (0); 1 before the first.",
        |daemon, out| {
            let last = daemon.last_reload.as_ref();
            out.flag(last.is_none_or(|last| last.error.is_none()));
        },
    ),
];

const NODE: &[Metric<Snapshot>] = &[
    counter(
        "vrrp_lost_packets_total",
        "Packets lost because a receive buffer overflowed.",
        |node, out| out.count(node.lost),
    ),
    counter(
        "vrrp_unassigned_dropped_packets_total",
        "Dropped packets that belong to no instance, by cause.",
        |node, out| dropped(&node.dropped, out),
    ),
];

const INSTANCE: &[Metric<RouterStatus>] = &[
    gauge(
        "vrrp_instance_info",
        "Interface, virtual router id and VRRP version of an instance; always 1.",
        |it, out| {
            let mut info = out.with(&[
                ("interface", &it.interface),
                ("vrid", &it.virtual_router_id.to_string()),
                ("version", &it.version.to_string()),
            ]);
            info.flag(true);
        },
    ),
    gauge(
        "vrrp_state",
        "State of an instance: 1 for the present one of init, backup, master and fault, 0 for the others.",
        |it, out| state(it.state, out),
    ),
    gauge(
        "vrrp_state_age_seconds",
        "Time since the last change of state.",
        |it, out| out.number(it.state_age),
    ),
    gauge(
        "vrrp_address_held",
        "Whether this host serves a virtual address: it is master, and the kernel has the address.",
        |it, out| {
            for address in &*it.addresses {
                let is_missing = it.missing.iter().any(|other| other.address == *address);
                let mut held = out.with(&[("address", &address.address.to_string())]);
                held.flag(it.state == State::Master && !is_missing);
            }
        },
    ),
    gauge(
        "vrrp_missing_addresses",
        "Virtual addresses that the master wants and the kernel does not have.",
        |it, out| out.count(it.missing.len() as u64),
    ),
    gauge(
        "vrrp_priority",
        "Advertised priority: the configured one with the contributions of the trackers.",
        |it, out| out.count(it.priority.effective.get().into()),
    ),
    gauge(
        "vrrp_configured_priority",
        "Configured priority.",
        |it, out| out.count(it.priority.configured.get().into()),
    ),
    gauge(
        "vrrp_priority_contribution",
        "Present contribution of a tracker to the priority of an instance.",
        |it, out| {
            for track in &it.priority.tracks {
                let mut contribution = out.with(&[("tracker", &track.tracker)]);
                contribution.number(track.contribution.into());
            }
        },
    ),
    gauge(
        "vrrp_standing_commands",
        "Commands of the operator in force that concern an instance, by command: drain, priority, step-down.",
        |it, out| {
            for kind in [
                CommandKind::Drain,
                CommandKind::Priority,
                CommandKind::StepDown,
            ] {
                let standing = it.commands.iter().filter(|other| other.command == kind);
                let mut commands = out.with(&[("command", &kind.to_string())]);
                commands.count(standing.count() as u64);
            }
        },
    ),
    gauge(
        "vrrp_advert_interval_seconds",
        "Configured advertisement interval.",
        |it, out| out.number(it.advert_interval),
    ),
    counter(
        "vrrp_adverts_sent_total",
        "Advertisements sent, without those of priority 0.",
        |it, out| out.count(it.counters.adverts_sent),
    ),
    counter(
        "vrrp_adverts_unsent_total",
        "Messages with advertisements that the kernel did not send.",
        |it, out| out.count(it.counters.adverts_unsent),
    ),
    counter(
        "vrrp_adverts_received_total",
        "Advertisements received and accepted, with those of priority 0.",
        |it, out| out.count(it.counters.adverts_received),
    ),
    counter(
        "vrrp_resignations_sent_total",
        "Advertisements of priority 0 sent.",
        |it, out| out.count(it.counters.resignations_sent),
    ),
    counter(
        "vrrp_resignations_received_total",
        "Advertisements of priority 0 received.",
        |it, out| out.count(it.counters.resignations_received),
    ),
    gauge(
        "vrrp_master_advert_age_seconds",
        "On a backup: time since the last advertisement of the master.",
        |it, out| {
            let master = it.master.as_ref();
            let mut others = it.others.iter();
            let of_master =
                others.find(|other| master.is_some_and(|it| it.address == other.address));
            if let Some(other) = of_master.filter(|_| it.state == State::Backup) {
                out.number(other.age);
            }
        },
    ),
    gauge(
        "vrrp_peer_priority",
        "Last advertised priority of another router of the same virtual router; 0 after it resigned.",
        |it, out| {
            for other in &it.others {
                let mut peer = out.with(&[("peer", &other.address.to_string())]);
                peer.count(other.priority.into());
            }
        },
    ),
    gauge(
        "vrrp_peer_advert_age_seconds",
        "Time since the last advertisement of another router. Backups send none.",
        |it, out| {
            for other in &it.others {
                let mut peer = out.with(&[("peer", &other.address.to_string())]);
                peer.number(other.age);
            }
        },
    ),
    gauge(
        "vrrp_peer_differences",
        "Differences between the advertisements of another router and this configuration.",
        |it, out| {
            for other in &it.others {
                let mut peer = out.with(&[("peer", &other.address.to_string())]);
                peer.count(other.differences.len() as u64);
            }
        },
    ),
    gauge(
        "vrrp_peer_clock_ahead_seconds",
        "HMAC: time by which the wall clock of a sender was ahead of this host's; negative if behind.",
        |it, out| {
            for sender in it.hmac.iter().flat_map(|hmac| &hmac.senders) {
                let mut peer = out.with(&[("peer", &sender.address.to_string())]);
                peer.number(sender.ahead as f64);
            }
        },
    ),
    counter(
        "vrrp_became_master_total",
        "Transitions to master.",
        |it, out| out.count(it.counters.became_master),
    ),
    gauge(
        "vrrp_flapping",
        "Whether the instance had ten or more transitions in the last minute.",
        |it, out| out.flag(it.flapping.is_some()),
    ),
    counter(
        "vrrp_announcements_total",
        "Announcements (gratuitous ARP, neighbour advertisements); one for all addresses together.",
        |it, out| out.count(it.counters.announcements),
    ),
    counter(
        "vrrp_address_repairs_total",
        "Virtual addresses that another program deleted and that were added again.",
        |it, out| out.count(it.counters.repairs),
    ),
    counter(
        "vrrp_stray_addresses_total",
        "Virtual addresses that were found while the instance was not master, and deleted.",
        |it, out| out.count(it.counters.strays),
    ),
    counter(
        "vrrp_routing_repairs_total",
        "Routes and rules of a master that were deleted and added again.",
        |it, out| out.count(it.counters.routing_repairs),
    ),
    counter(
        "vrrp_stray_routing_total",
        "Routes and rules that were found while the instance was not master, and deleted.",
        |it, out| out.count(it.counters.routing_strays),
    ),
    counter(
        "vrrp_late_wakeups_total",
        "Late wake-ups of a backup, which restarted the master-down timer.",
        |it, out| out.count(it.counters.late_wakeups),
    ),
    gauge(
        "vrrp_takeover_withheld",
        "Whether a take-over is withheld, because this host drops advertisements that arrive.",
        |it, out| out.flag(it.withheld.is_some()),
    ),
    counter(
        "vrrp_withheld_takeovers_total",
        "Take-overs that were withheld, because this host drops advertisements that arrive.",
        |it, out| out.count(it.counters.withheld),
    ),
    counter(
        "vrrp_interruptions_total",
        "Short absences of the interface or of the source address that caused no fault.",
        |it, out| out.count(it.counters.interruptions),
    ),
    gauge(
        "vrrp_without_link",
        "Whether the interface has no link and that is no fault (trackInterface = false).",
        |it, out| out.flag(it.without_link.is_some()),
    ),
    gauge(
        "vrrp_adverts_rejected_families",
        "Address families in which the kernel rejects the advertisements of the instance.",
        |it, out| out.count(it.unsent.len() as u64),
    ),
    counter(
        "vrrp_second_master_adverts_total",
        "Advertisements of lower precedence received while master.",
        |it, out| out.count(it.counters.second_masters),
    ),
    counter(
        "vrrp_contests_total",
        "Number of times that all other masters beside this one have gone.",
        |it, out| out.count(it.counters.contests),
    ),
    gauge(
        "vrrp_address_conflict",
        "Whether another host claimed a virtual address of this master in the last ten minutes.",
        |it, out| out.flag(it.address_conflict.is_some()),
    ),
    counter(
        "vrrp_address_conflicts_total",
        "ARP packets and neighbour advertisements by which another host claimed a virtual address.",
        |it, out| out.count(it.counters.address_conflicts),
    ),
    counter(
        "vrrp_adverts_without_hmac_total",
        "Accepted advertisements without an HMAC, where the mode allows them.",
        |it, out| out.count(it.counters.adverts_without_hmac),
    ),
    counter(
        "vrrp_address_list_differences_total",
        "Received advertisements with another address list than this instance's.",
        |it, out| out.count(it.counters.address_list_differs),
    ),
    counter(
        "vrrp_interval_differences_total",
        "Received advertisements with another interval than this instance's (version 3).",
        |it, out| out.count(it.counters.interval_differs),
    ),
    counter(
        "vrrp_dropped_packets_total",
        "Dropped packets of an instance, by cause.",
        |it, out| dropped(&it.counters.dropped, out),
    ),
    gauge(
        "vrrp_resource_started",
        "Whether a unit of the resources has been started.",
        |it, out| {
            for resource in it.resources.iter().flat_map(|resources| &resources.units) {
                let mut started = out.with(&[("unit", &resource.unit)]);
                started.flag(&*resource.state == "started");
            }
        },
    ),
    gauge(
        "vrrp_resources_failed",
        "Whether a failure of the resources inhibits the instance, or is about to.",
        |it, out| {
            if let Some(resources) = &it.resources {
                out.flag(resources.failure.is_some());
            }
        },
    ),
    gauge(
        "vrrp_ipvs_sync_failed",
        "Whether the IPVS sync daemon is not as desired.",
        |it, out| {
            if let Some(lvs) = &it.lvs {
                out.flag(lvs.error.is_some());
            }
        },
    ),
    counter(
        "vrrp_ipvs_sync_repairs_total",
        "Number of times that another program stopped or changed the IPVS sync daemon.",
        |it, out| {
            if let Some(lvs) = &it.lvs {
                out.count(lvs.repairs);
            }
        },
    ),
];

const GROUP: &[Metric<GroupStatus>] = &[gauge(
    "vrrp_group_state",
    "State of a sync group: 1 for the present one of init, backup, master and fault, 0 for the others.",
    |group, out| state(group.state, out),
)];

/// Of an instance, or of a sync group.
const NOTIFY: &[Metric<NotifyStatus>] = &[
    counter(
        "vrrp_notify_runs_total",
        "Notification commands run.",
        |notify, out| out.count(notify.runs),
    ),
    counter(
        "vrrp_notify_failures_total",
        "Notification commands that failed.",
        |notify, out| out.count(notify.failures),
    ),
    counter(
        "vrrp_notify_superseded_total",
        "States without a notification, because a newer state replaced them.",
        |notify, out| out.count(notify.dropped),
    ),
    gauge(
        "vrrp_notify_pending",
        "Notifications that run or wait.",
        |notify, out| {
            let running = u64::from(notify.running.is_some());
            out.count(running + notify.waiting.len() as u64);
        },
    ),
    gauge(
        "vrrp_notify_last_successful",
        "Whether the notification command that ended last succeeded.",
        |notify, out| {
            if let Some(last) = &notify.last {
                out.flag(last.succeeded);
            }
        },
    ),
];

const TRACKER: &[Metric<TrackerStatus>] = &[
    gauge(
        "vrrp_tracker_up",
        "Verdict of a tracker: up (1) or down (0); none before the first verdict.",
        |tracker, out| {
            if let Some(up) = tracker.up {
                out.flag(up);
            }
        },
    ),
    gauge(
        "vrrp_tracker_value",
        "Number that a tracker reports.",
        |tracker, out| {
            if let Some(value) = tracker.value {
                out.number(value as f64);
            }
        },
    ),
    counter(
        "vrrp_tracker_results_total",
        "Results of a tracker.",
        |tracker, out| out.count(tracker.results),
    ),
    counter(
        "vrrp_tracker_failures_total",
        "Bad results of a tracker.",
        |tracker, out| out.count(tracker.failures),
    ),
];

/// Renders the metrics of a daemon, or of one that does not answer.
pub(super) fn render(snapshot: Option<&Snapshot>, format: Format) -> String {
    let mut page = Page::new(format);
    write(&mut page, ANSWER, [([], &snapshot.is_some())]);
    let Some(snapshot) = snapshot else {
        return page.end();
    };
    let daemon = snapshot.daemon.iter().map(|daemon| ([], daemon));
    write(&mut page, DAEMON, daemon);
    write(&mut page, NODE, [([], snapshot)]);
    let instances = || snapshot.instances.iter();
    let groups = || snapshot.groups.iter();
    write(
        &mut page,
        INSTANCE,
        instances().map(|it| (instance(&it.name), it)),
    );
    write(&mut page, GROUP, groups().map(|it| (group(&it.name), it)));
    let of_instances = instances().filter_map(|it| Some((instance(&it.name), it.notify.as_ref()?)));
    let of_groups = groups().filter_map(|it| Some((group(&it.name), it.notify.as_ref()?)));
    write(&mut page, NOTIFY, of_instances.chain(of_groups));
    let trackers = snapshot.trackers.iter();
    let trackers = trackers.map(|it| ([("tracker", &*it.name)], it));
    write(&mut page, TRACKER, trackers);
    page.end()
}

/// Writes metrics of some objects, each with its labels. All samples of a metric have to be together. A metric
/// without an object is declared nevertheless.
fn write<'s, T: 's, const LABELS: usize>(
    page: &mut Page,
    metrics: &[Metric<T>],
    objects: impl IntoIterator<Item = ([(&'static str, &'s str); LABELS], &'s T)>,
) {
    let objects: Vec<_> = objects.into_iter().collect();
    for metric in metrics {
        page.begin(metric.name, metric.kind, metric.help);
        for (labels, object) in &objects {
            (metric.sample)(object, &mut page.samples(metric.name, labels));
        }
    }
}

const fn instance(name: &str) -> [(&'static str, &str); 1] {
    [("vrrp_instance", name)]
}

const fn group(name: &str) -> [(&'static str, &str); 1] {
    [("vrrp_group", name)]
}

fn state(present: State, out: &mut Samples<'_>) {
    for state in [State::Init, State::Backup, State::Master, State::Fault] {
        let mut sample = out.with(&[("state", &state.to_string())]);
        sample.flag(state == present);
    }
}

/// Every cause has a sample, so that the first packet is an increase for Prometheus.
fn dropped(counts: &DropCounts, out: &mut Samples<'_>) {
    for cause in DropCause::ALL {
        let mut sample = out.with(&[("cause", cause.word())]);
        sample.count(counts.get(*cause));
    }
}
