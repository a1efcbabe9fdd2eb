//! `vrrpd status`: the daemon's snapshot for people, or as it is.

use std::fmt::Write as _;
use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use vrrp_proto::State;
use vrrp_proto::params::HmacMode;
use vrrp_proto::snapshot::{
    GroupStatus, HmacStatus, LvsStatus, NotifyStatus, ResourceStatus, ResourcesStatus,
    RouterStatus, Snapshot, TrackerStatus, UnicastPeerStatus, UnicastStatus,
};

use crate::cli::StatusOptions;
use crate::{Failed, print};

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn status(options: &StatusOptions) -> Result<(), Failed> {
    let socket = options.runtime.control_socket();
    let answer = ask(&socket).map_err(|error| {
        Failed::General.reasons(format_args!(
            "cannot ask the daemon at {}: {error}; is it running, and may you open its socket?",
            socket.display()
        ))
    })?;
    if answer.is_empty() {
        return Err(Failed::General.reasons("the daemon is stopping"));
    }
    let snapshot: Snapshot = serde_json::from_str(&answer).map_err(|error| {
        Failed::General.reasons(format_args!("the daemon is of another version: {error}"))
    })?;
    print(&if options.json {
        format!("{answer}\n")
    } else {
        render(&snapshot)
    })
}

/// The daemon's answer: one JSON object, without being asked anything.
fn ask(socket: &Path) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// A table for people.
pub(crate) fn render(snapshot: &Snapshot) -> String {
    let mut rows = vec![
        [
            "INSTANCE",
            "STATE",
            "FOR",
            "PRIORITY",
            "INTERFACE",
            "VRID",
            "MASTER",
            "ADDRESSES",
        ]
        .map(String::from),
    ];
    rows.extend(snapshot.instances.iter().map(row));
    let mut text = table(&rows);
    text.push('\n');
    for instance in &snapshot.instances {
        let _ = writeln!(text, "{}: {}", instance.name, instance.cause);
        if let Some(hmac) = &instance.hmac {
            let _ = writeln!(text, "  {}", signatures(hmac));
        }
        if let Some(unicast) = &instance.unicast {
            let _ = writeln!(text, "  {}", peers(unicast));
        }
        if let Some(resources) = &instance.resources {
            let _ = writeln!(text, "  {}", units(resources));
        }
        if let Some(notify) = &instance.notify {
            let _ = writeln!(text, "  {}", told(notify));
        }
        if let Some(lvs) = &instance.lvs {
            let _ = writeln!(text, "  {}", synchronisation(lvs));
        }
        // They are there while it is master.
        for route in &instance.routes {
            let _ = writeln!(text, "  route {route}");
        }
        for rule in &instance.rules {
            let _ = writeln!(text, "  rule {rule}");
        }
        notes(instance, &mut text);
    }
    if !snapshot.groups.is_empty() {
        let mut rows = vec![["GROUP", "STATE", "FOR", "MEMBERS", "BECAUSE OF"].map(String::from)];
        rows.extend(snapshot.groups.iter().map(group_row));
        text.push('\n');
        text.push_str(&table(&rows));
        for group in &snapshot.groups {
            if let Some(notify) = &group.notify {
                let _ = writeln!(text, "{}: {}", group.name, told(notify));
            }
        }
    }
    if snapshot.lost > 0 {
        let _ = writeln!(
            text,
            "{} packets were lost because they came faster than they could be read",
            snapshot.lost
        );
    }
    if !snapshot.trackers.is_empty() {
        let mut rows =
            vec![["TRACKER", "VERDICT", "FOR", "RESULTS", "FAILURES", "LAST"].map(String::from)];
        rows.extend(snapshot.trackers.iter().map(tracker_row));
        text.push('\n');
        text.push_str(&table(&rows));
    }
    text
}

fn row(instance: &RouterStatus) -> [String; 8] {
    let priority = &instance.priority;
    let master = match (instance.state, &instance.master, instance.source) {
        (State::Master, _, Some(source)) => format!("{source} (this host)"),
        (State::Backup, Some(peer), _) => format!("{} ({})", peer.address, peer.priority),
        _ => "-".to_owned(),
    };
    let addresses: Vec<String> = instance.addresses.iter().map(ToString::to_string).collect();
    [
        instance.name.to_string(),
        instance.state.to_string(),
        age(instance.state_age),
        if priority.reasons.is_empty() {
            priority.effective.to_string()
        } else {
            format!(
                "{} = {} {}",
                priority.effective,
                priority.configured,
                priority.reasons.join(" ")
            )
        },
        instance.interface.to_string(),
        instance.virtual_router_id.to_string(),
        master,
        addresses.join(" "),
    ]
}

fn group_row(group: &GroupStatus) -> [String; 5] {
    [
        group.name.to_string(),
        group.state.to_string(),
        age(group.state_age),
        group.members.join(" "),
        match &group.decided_by {
            Some(member) => format!("{member}: {}", group.cause),
            None => group.cause.to_string(),
        },
    ]
}

fn tracker_row(tracker: &TrackerStatus) -> [String; 6] {
    let words = |up| if up { "up" } else { "down" };
    let verdict = match (tracker.up, tracker.changes_in) {
        (None, _) => "not yet".to_owned(),
        (Some(up), None) => words(up).to_owned(),
        // Another number may be what it changes to.
        (Some(true), Some(span)) if tracker.value.is_some() => {
            format!("up, new in {}", wait(span))
        }
        (Some(up), Some(span)) => format!("{}, {} in {}", words(up), words(!up), wait(span)),
    };
    [
        tracker.name.to_string(),
        verdict,
        tracker.age.map_or_else(|| "-".to_owned(), age),
        tracker.results.to_string(),
        tracker.failures.to_string(),
        tracker.detail.to_string(),
    ]
}

/// Who signs with which key, and whose clock is another one.
fn signatures(hmac: &HmacStatus) -> String {
    let key = hmac.active_key;
    let mut text = match hmac.mode {
        HmacMode::Enforce => format!("HMAC: signs with key {key}, and so must others"),
        HmacMode::Permissive => format!("HMAC: signs with key {key}, others may go without"),
        HmacMode::ReceiveOnly => "HMAC: does not sign, and others may go without".to_owned(),
    };
    for sender in &hmac.senders {
        let _ = write!(text, "; {} with key {}", sender.address, sender.key);
        let apart = sender.ahead.unsigned_abs();
        match sender.ahead {
            0 => {}
            1.. => drop(write!(text, " (its clock is {apart} s ahead)")),
            _ => drop(write!(text, " (its clock is {apart} s behind)")),
        }
    }
    text
}

/// Whom it speaks with, and what names stand for.
fn peers(unicast: &UnicastStatus) -> String {
    let peer = |peer: &UnicastPeerStatus| {
        let addresses: Vec<String> = peer.addresses.iter().map(ToString::to_string).collect();
        match &*addresses {
            [address] if *address == peer.peer => peer.peer.clone(),
            [] => format!("{} (no address known)", peer.peer),
            addresses => format!("{} ({})", peer.peer, addresses.join(" ")),
        }
    };
    let peers: Vec<String> = unicast.peers.iter().map(peer).collect();
    format!("unicast: with {}", peers.join(", "))
}

/// Whether those who are to be told of its state were.
fn told(notify: &NotifyStatus) -> String {
    let word = |state: &State| match state {
        State::Init => "stop".to_owned(),
        State::Backup | State::Master | State::Fault => state.to_string(),
    };
    let mut parts = Vec::new();
    if let Some(last) = &notify.last {
        let how = if last.succeeded {
            "told of"
        } else {
            "not told of"
        };
        let (state, age) = (word(&last.state), age(last.age));
        parts.push(format!("{how} {state} {age} ago: {}", last.detail));
    }
    if let Some(state) = &notify.running {
        parts.push(format!("{} is being told", word(state)));
    }
    if !notify.waiting.is_empty() {
        let states: Vec<String> = notify.waiting.iter().map(word).collect();
        parts.push(format!("{} to be told then", states.join(", ")));
    }
    if parts.is_empty() {
        parts.push("nothing told yet".to_owned());
    }
    format!("notify: {}", parts.join("; "))
}

/// What the sync thread of IPVS is, and why not.
fn synchronisation(lvs: &LvsStatus) -> String {
    let role = lvs
        .role
        .map_or_else(|| "none".to_owned(), |role| role.to_string());
    let mut text = format!(
        "LVS sync: {role} on {} (syncId {})",
        lvs.interface, lvs.sync_id
    );
    if let Some(error) = &lvs.error {
        let _ = write!(text, ", wanted in vain: {error}");
    }
    if lvs.repairs > 0 {
        let _ = write!(
            text,
            "; stopped or changed by somebody {} times",
            lvs.repairs
        );
    }
    text
}

/// What runs where it is master, and why that is not here.
fn units(resources: &ResourcesStatus) -> String {
    let unit = |status: &ResourceStatus| match &*status.detail {
        "" => format!("{} {}", status.unit, status.state),
        detail => format!("{} {} ({detail})", status.unit, status.state),
    };
    let units: Vec<String> = resources.units.iter().map(unit).collect();
    let mut text = format!("resources: {}", units.join(", "));
    if let Some(failure) = &resources.failure {
        let _ = write!(text, "; {failure}");
    }
    if let Some(seconds) = resources.retry_in {
        let _ = write!(text, "; again in {seconds:.0} s");
    }
    text
}

/// What else deserves a look: only what is not zero.
fn notes(instance: &RouterStatus, text: &mut String) {
    let counters = &instance.counters;
    let mut note = |number: u64, what: &str| {
        if number > 0 {
            let _ = writeln!(text, "  {number} {what}");
        }
    };
    note(
        counters.repairs,
        "times a virtual address was taken away and put back",
    );
    note(
        counters.strays,
        "times a virtual address was found here that was not ours to hold",
    );
    note(
        counters.routing_repairs,
        "times a route or a rule was gone and was put back",
    );
    note(
        counters.routing_strays,
        "times a route or a rule was found here that was not ours to hold",
    );
    note(
        counters.second_masters,
        "advertisements of another master of lower precedence",
    );
    note(
        counters.late_wakeups,
        "times this host stood still too long to trust its own silence",
    );
    note(
        counters.interruptions,
        "short absences of the interface or its address (no fault)",
    );
    note(
        counters.adverts_without_hmac,
        "advertisements without HMAC that counted all the same",
    );
    note(
        counters.address_list_differs,
        "advertisements that list other addresses than ours",
    );
    note(
        counters.interval_differs,
        "advertisements with another interval than ours",
    );
    if let Some(notify) = &instance.notify {
        note(
            notify.failures,
            "times a command that tells of a state failed",
        );
        note(
            notify.dropped,
            "states were not told, because there was a newer one before their turn",
        );
    }
    for cause in vrrp_proto::wire::DropCause::ALL {
        note(
            counters.dropped.get(*cause),
            &format!("packets dropped because {cause}"),
        );
    }
    for other in &instance.others {
        for differences in &other.differences {
            let age = age(other.age);
            let _ = writeln!(text, "  {} (heard {age} ago): {differences}", other.address);
        }
    }
}

/// As [`age`] for what is to come: never 0 before it has come.
fn wait(seconds: f64) -> String {
    age(seconds.ceil())
}

/// `5 s`, `3 min`, `2 h`, `4 d`: one unit says enough.
fn age(seconds: f64) -> String {
    let units = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min")];
    units
        .iter()
        .find(|(unit, _)| seconds >= 2.0 * unit)
        .map_or_else(
            || format!("{seconds:.0} s"),
            |(unit, name)| format!("{:.0} {name}", (seconds / unit).floor()),
        )
}

/// Columns as wide as their widest cell, the last one without padding.
fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests;
