//! `vrrpd explain`: the state of each instance in sentences: why this host is master or not, who is, and
//! until when.

use std::fmt::Write as _;

use vrrp_proto::operator::CommandKind;
use vrrp_proto::snapshot::{
    GroupStatus, HoldOffReason, HoldOffStatus, OtherRouter, PeerStatus, RouterStatus, Snapshot,
    TrackStatus,
};
use vrrp_proto::{Due, State};

use crate::cli::ExplainOptions;
use crate::status::{age, ask, disturbances, parse, standing};
use crate::{Failed, print};

/// Number of past transitions that are shown.
const TRANSITIONS: usize = 3;

pub(crate) fn explain(options: &ExplainOptions) -> Result<(), Failed> {
    let snapshot = ask(&options.runtime.control_socket())
        .and_then(|answer| parse(&answer))
        .map_err(|error| Failed::General.reasons(error))?;
    let is_meant = |instance: &&RouterStatus| match &options.instance {
        Some(name) => *instance.name == **name,
        None => true,
    };
    let meant: Vec<_> = snapshot.instances.iter().filter(is_meant).collect();
    if let (Some(name), []) = (&options.instance, &*meant) {
        let names: Vec<&str> = snapshot.instances.iter().map(|it| &*it.name).collect();
        return Err(Failed::General.reasons(format_args!(
            "no instance {name}; the instances are {}",
            names.join(", ")
        )));
    }
    let texts: Vec<String> = meant
        .into_iter()
        .map(|instance| describe(&snapshot, instance))
        .collect();
    print(&texts.join("\n"))
}

/// Sentences about one instance, each behind its subject.
fn describe(snapshot: &Snapshot, instance: &RouterStatus) -> String {
    let group = snapshot
        .groups
        .iter()
        .find(|group| group.members.contains(&instance.name));
    let mut lines = Lines::default();
    lines.add("state", state(instance));
    lines.add("why", instance.cause.to_string());
    if let Some(group) = group {
        lines.add("sync group", moves_with(group, instance));
    }
    lines.add("master", master(instance));
    if instance.state != State::Master {
        for reason in not_master(instance) {
            lines.add("not master", reason);
        }
        lines.add("becomes it", becomes_master(instance));
    }
    lines.add("priority", priority(instance));
    for command in &instance.commands {
        lines.add("command", standing(command));
    }
    for track in &instance.priority.tracks {
        lines.add("tracker", tracker(snapshot, track));
    }
    for other in &instance.others {
        lines.add("peer", peer(other));
    }
    for disturbance in disturbances(instance) {
        lines.add("attention", disturbance);
    }
    // The take-over of a backup is shown already.
    if let Some(next) = &instance.next
        && next.due != Due::TakeOver
    {
        lines.add(
            "next",
            format!("{} in {}", event(next.due), span(next.left)),
        );
    }
    for past in instance.history.iter().rev().take(TRANSITIONS) {
        let (ago, from, to) = (age(past.age), past.from, past.to);
        let (priority, cause) = (past.priority, &past.cause);
        lines.add(
            "before",
            format!("{ago} ago {from} -> {to} (priority {priority}): {cause}"),
        );
    }
    format!("{}\n{}", instance.name, lines.0)
}

/// Lines of a subject and a sentence.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, subject: &str, sentence: String) {
        let _ = writeln!(self.0, "  {subject:<12}{sentence}");
    }
}

fn state(instance: &RouterStatus) -> String {
    let RouterStatus {
        state,
        interface,
        virtual_router_id,
        version,
        ..
    } = instance;
    let since = span(instance.state_age);
    format!("{state} for {since}, on {interface} with VRID {virtual_router_id}, version {version}")
}

fn moves_with(group: &GroupStatus, instance: &RouterStatus) -> String {
    let members = group.members.join(", ");
    let name = &group.name;
    let mut text = format!("{name}: {members} change their state together");
    match &group.decided_by {
        Some(member) if *member != instance.name => {
            let _ = write!(text, "; {member} decided: {}", group.cause);
        }
        Some(_) | None => {}
    }
    text
}

/// The present master, as far as this host knows.
fn master(instance: &RouterStatus) -> String {
    match (instance.state, &instance.master) {
        (State::Master, _) => {
            let sources = [instance.source, instance.source_ipv6];
            let sources: Vec<String> = sources.iter().flatten().map(ToString::to_string).collect();
            format!("this host ({})", sources.join(", "))
        }
        (State::Backup, Some(peer)) if peer.priority == 0 => {
            format!("none: {} has resigned", peer.address)
        }
        (State::Backup, Some(peer)) => {
            let PeerStatus {
                address,
                priority,
                heard_for,
            } = peer;
            let other = instance.others.iter().find(|it| it.address == *address);
            let last = other.map(|it| format!(", last advertisement {} ago", span(it.age)));
            let last = last.unwrap_or_default();
            format!(
                "{address} with priority {priority}, heard for {}{last}",
                span(*heard_for)
            )
        }
        (State::Backup, None) => format!("none heard for {}", span(instance.state_age)),
        (State::Init | State::Fault, _) => "unknown: this instance does not listen".to_owned(),
    }
}

/// Reasons why this host is not master.
fn not_master(instance: &RouterStatus) -> Vec<String> {
    let mut reasons = Vec::new();
    match instance.state {
        State::Master => {}
        State::Init => reasons.push("the instance is stopped".to_owned()),
        State::Fault => {
            let faults = instance.priority.tracks.iter();
            let faults = faults.filter_map(|track| track.fault.clone());
            reasons.extend(faults);
            if reasons.is_empty() {
                reasons.push(instance.cause.to_string());
            }
        }
        State::Backup => {
            if let Some(command) = barred(instance) {
                reasons.push(format!("the {command} without last resort"));
                return reasons;
            }
            if let Some(withheld) = &instance.withheld {
                reasons.push(format!(
                    "advertisements of {} arrive and are dropped by this host: {}",
                    withheld.source, withheld.reason
                ));
            }
            if let Some(left) = instance.silence_counts_in {
                reasons.push(format!(
                    "the name of a unicast peer is not resolved: its silence counts in {}",
                    span(left)
                ));
            }
            match (&instance.hold_off, &instance.master) {
                (Some(hold_off), master) => reasons.push(held_off(hold_off, master.as_ref())),
                (None, Some(master)) => reasons.push(compared(instance, master)),
                (None, None) => reasons.push(
                    "it has not listened for long enough to know that there is no master"
                        .to_owned(),
                ),
            }
        }
    }
    reasons
}

/// Kind of the command that bars a backup from mastership.
fn barred(instance: &RouterStatus) -> Option<CommandKind> {
    let mut commands = instance.commands.iter();
    let command = commands.find(|command| command.last_resort == Some(false))?;
    Some(command.command)
}

fn held_off(hold_off: &HoldOffStatus, master: Option<&PeerStatus>) -> String {
    let left = hold_off.ends_in.map(span).unwrap_or_default();
    let lower = master.map_or_else(
        || "the master has a lower priority".to_owned(),
        |master| {
            let PeerStatus {
                address, priority, ..
            } = master;
            format!("{address} has the lower priority {priority}")
        },
    );
    match hold_off.reason {
        HoldOffReason::StartupDelay => format!("startupDelay ends in {left}"),
        HoldOffReason::Flapping => {
            format!(
                "too many take-overs in quick succession: the next one in {left} at the earliest"
            )
        }
        HoldOffReason::PreemptDelay => {
            format!("{lower}, and preemptDelay ends in {left}")
        }
        HoldOffReason::NoPreemption => format!("{lower}, and preempt is false"),
        HoldOffReason::Unsent => format!(
            "{lower}, and no advertisement left this host when it was master last; mend that, then reload"
        ),
    }
}

/// The comparison of priorities that keeps a backup from being master.
fn compared(instance: &RouterStatus, master: &PeerStatus) -> String {
    let ours = instance.priority.effective;
    let PeerStatus {
        address, priority, ..
    } = master;
    if *priority == 0 {
        return format!("{address} has resigned, and the skew time has not passed");
    }
    match priority.cmp(&ours.get()) {
        core::cmp::Ordering::Greater => {
            format!("priority {ours} is lower than {priority} of {address}")
        }
        core::cmp::Ordering::Equal => {
            format!("{address} has the same priority {priority}, and only a higher one preempts")
        }
        core::cmp::Ordering::Less => {
            format!("{address} has the lower priority {priority}: its preemption is due")
        }
    }
}

/// Conditions under which this host becomes master, and the time if nothing else happens.
fn becomes_master(instance: &RouterStatus) -> String {
    match instance.state {
        State::Master => "it is master".to_owned(),
        State::Init => "when the instance is started".to_owned(),
        State::Fault => {
            "not before the fault is over; then it listens as a backup first".to_owned()
        }
        State::Backup => {
            if let Some(command) = barred(instance) {
                return format!(
                    "not before the end of the {command}, even if there is no other master"
                );
            }
            let in_time = instance
                .next
                .as_ref()
                .filter(|next| next.due == Due::TakeOver)
                .map_or_else(
                    || "later".to_owned(),
                    |next| format!("in {}", span(next.left)),
                );
            let Some(master) = instance.master.as_ref().filter(|it| it.priority > 0) else {
                return format!("{in_time}, unless an advertisement arrives");
            };
            let PeerStatus { address, .. } = master;
            let ours = instance.priority.effective;
            let is_lower = master.priority < ours.get();
            if is_lower && instance.preempt {
                return format!("{in_time}, unless a priority of {ours} or more is advertised");
            }
            let mut text = format!(
                "{in_time}, unless another advertisement of {address} arrives; or earlier when it resigns \
                 (priority 0)"
            );
            if instance.preempt {
                let _ = write!(text, " or advertises a priority below {ours}");
            }
            text
        }
    }
}

fn priority(instance: &RouterStatus) -> String {
    let priority = &instance.priority;
    match &*priority.reasons {
        [] => format!("{}, as configured", priority.effective),
        reasons => format!(
            "{} = {} {}",
            priority.effective,
            priority.configured,
            reasons.join(" ")
        ),
    }
}

fn tracker(snapshot: &Snapshot, track: &TrackStatus) -> String {
    let TrackStatus {
        tracker,
        weight,
        contribution,
        ..
    } = track;
    let status = snapshot.trackers.iter().find(|it| it.name == *tracker);
    let verdict = match status.and_then(|status| status.up) {
        Some(true) => "up",
        Some(false) => "down",
        None => "without a verdict so far",
    };
    let mut text = format!("{tracker} is {verdict}");
    if let Some(status) = status {
        if let Some(seconds) = status.age {
            let _ = write!(text, " for {}", span(seconds));
        }
        if !status.detail.is_empty() {
            let _ = write!(text, " ({})", status.detail);
        }
    }
    let _ = match weight {
        None => write!(text, "; a fault while down"),
        Some(weight) => write!(text, "; weight {weight}, adds {contribution} now"),
    };
    text
}

fn peer(other: &OtherRouter) -> String {
    let OtherRouter {
        address,
        priority,
        interval,
        ..
    } = other;
    let last = span(other.age);
    let mut text = match priority {
        0 => format!("{address} resigned {last} ago"),
        _ => format!(
            "{address} advertised priority {priority} {last} ago, its interval is {interval} s"
        ),
    };
    for difference in &other.differences {
        let _ = write!(text, "; {difference}");
    }
    text
}

const fn event(due: Due) -> &'static str {
    match due {
        Due::Advertisement => "advertisement",
        Due::Announcement => {
            "announcement of the addresses (gratuitous ARP, neighbour advertisements)"
        }
        Due::TakeOver => "take-over",
        Due::Watch => "look at the interface for advertisements that this host drops",
        Due::Verdict => "change of a tracker's verdict",
        Due::Grace => "end of the grace for a missing interface or address",
        Due::Contest => "end of the contest with another master",
        Due::HandOver => "release of the addresses, if no successor advertises before",
        Due::Command => "end of a command of the operator",
    }
}

/// [`age`], with a tenth below ten seconds.
fn span(seconds: f64) -> String {
    match seconds < 10.0 {
        true => format!("{seconds:.1} s"),
        false => age(seconds),
    }
}

#[cfg(test)]
mod tests;
