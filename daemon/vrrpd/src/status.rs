//! `vrrpd status`: the daemon's snapshot as tables and notes, or as JSON, once or every second.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use vrrp_proto::State;
use vrrp_proto::params::HmacMode;
use vrrp_proto::snapshot::{
    CommandStatus, ConflictStatus, GroupStatus, HISTORY, HmacStatus, LvsStatus, MissingAddress,
    NotifyStatus, OtherRouter, ResourceStatus, ResourcesStatus, RouterStatus, Snapshot,
    TrackerStatus, UnicastPeerStatus, UnicastStatus, UnsentStatus,
};
use vrrp_proto::wire::ChecksumForm;

use crate::cli::StatusOptions;
use crate::services::control::REFUSAL;
use crate::{Failed, answer, print, print_while_read};

/// Time limit for the daemon's answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most bytes of an answer. One about 4,000 instances has 8 MiB.
const LARGEST: u64 = 64 << 20;

/// Time between two answers of `--watch`.
const PAUSE: Duration = Duration::from_secs(1);

/// Erases the terminal and moves the cursor to its first line (ECMA-48: ED, CUP). Left out where the output
/// is no terminal.
const ERASE: &str = "\x1b[2J\x1b[H";

pub(crate) fn status(options: &StatusOptions) -> Result<(), Failed> {
    if !options.watch {
        let page = page(options).map_err(|error| Failed::General.reasons(error))?;
        return print(&page);
    }
    let erase = if options.json { "" } else { ERASE };
    loop {
        // The daemon may be restarted meanwhile.
        match page(options) {
            Ok(page) if print_while_read(&format!("{erase}{page}"))? => {}
            Ok(_) => return Ok(()),
            Err(error) => drop(Failed::General.reasons(error)),
        }
        std::thread::sleep(PAUSE);
    }
}

/// Asks the daemon, and renders its answer.
fn page(options: &StatusOptions) -> Result<String, String> {
    let answer = ask(&options.runtime.control_socket())?;
    let snapshot = parse(&answer)?;
    Ok(if options.json {
        // As it is: this program may not know all fields.
        format!("{answer}\n")
    } else {
        render(&snapshot)
    })
}

/// Asks the daemon for its snapshot, one JSON object. Takes [`PATIENCE`] at most.
///
/// # Errors
/// A message if there is no daemon, or if its answer is incomplete or a refusal.
pub(crate) fn ask(socket: &Path) -> Result<String, String> {
    let answer = read(socket).map_err(|error| {
        format!(
            "cannot read the status from {}: {error}; is vrrpd running, and may this user open its socket?",
            socket.display()
        )
    })?;
    if answer.is_empty() {
        return Err("the daemon is stopping".to_owned());
    }
    let refusal = serde_json::from_str::<BTreeMap<String, String>>(&answer);
    match refusal.ok().and_then(|mut it| it.remove(REFUSAL)) {
        Some(error) => Err(error),
        None => Ok(answer),
    }
}

/// Parses the daemon's answer.
///
/// # Errors
/// A message if it is no snapshot.
pub(crate) fn parse(answer: &str) -> Result<Snapshot, String> {
    serde_json::from_str(answer).map_err(|error| {
        format!("cannot parse the status: {error}; the running vrrpd may have another version")
    })
}

/// Reads the daemon's answer, one JSON object. The daemon sends it without a request. Another program may
/// listen at the socket.
fn read(socket: &Path) -> io::Result<String> {
    let until = Instant::now() + PATIENCE;
    let mut stream = UnixStream::connect(socket)?;
    let mut bytes = Vec::new();
    answer::read(&mut stream, &mut bytes, LARGEST, Some(until)).map_err(|error| {
        match error.kind() == ErrorKind::TimedOut {
            true => late(),
            false => error,
        }
    })?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

fn late() -> io::Error {
    let text = format!("no complete answer within {} s", PATIENCE.as_secs());
    io::Error::new(ErrorKind::TimedOut, text)
}

/// Renders a snapshot as text.
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
    let mut text = table(&rows, |column, cell| match column {
        1 => colour(cell),
        _ => Style::new(),
    });
    for command in &snapshot.commands {
        let _ = writeln!(text, "{}", standing(command));
    }
    if let Some(why) = &snapshot.unread_commands {
        let _ = writeln!(text, "{why}");
    }
    text.push('\n');
    for instance in &snapshot.instances {
        let _ = writeln!(text, "{}: {}", instance.name, instance.cause);
        for disturbance in disturbances(instance) {
            let _ = writeln!(text, "  {disturbance}");
        }
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
        // The kernel has them while the instance is master.
        for route in &instance.routes {
            let _ = writeln!(text, "  route {route}");
        }
        for rule in &instance.rules {
            let _ = writeln!(text, "  rule {rule}");
        }
        notes(instance, &mut text);
    }
    if let Some(error) = failed_reload(snapshot) {
        let _ = writeln!(text, "{error}");
    }
    if snapshot.lost > 0 {
        let _ = writeln!(
            text,
            "{} packets lost: receive buffer overflow",
            snapshot.lost
        );
    }
    if !snapshot.groups.is_empty() {
        let mut rows = vec![["GROUP", "STATE", "FOR", "MEMBERS", "CAUSE"].map(String::from)];
        rows.extend(snapshot.groups.iter().map(group_row));
        text.push('\n');
        text.push_str(&table(&rows, |column, cell| match column {
            1 => colour(cell),
            _ => Style::new(),
        }));
        for group in &snapshot.groups {
            if let Some(notify) = &group.notify {
                let _ = writeln!(text, "{}: {}", group.name, told(notify));
            }
        }
    }
    let others = snapshot.instances.iter().flat_map(|instance| {
        let others = instance.others.iter();
        others.map(move |other| peer_row(instance, other))
    });
    let others: Vec<_> = others.collect();
    if !others.is_empty() {
        let head = [
            "PEER",
            "INSTANCE",
            "PRIORITY",
            "VERSION",
            "INTERVAL",
            "LAST",
            "CHECKSUM",
            "DIFFERENCES",
        ];
        let mut rows = vec![head.map(String::from)];
        rows.extend(others);
        text.push('\n');
        text.push_str(&table(&rows, |_, _| Style::new()));
    }
    if !snapshot.trackers.is_empty() {
        let mut rows =
            vec![["TRACKER", "VERDICT", "FOR", "RESULTS", "FAILURES", "LAST"].map(String::from)];
        rows.extend(snapshot.trackers.iter().map(tracker_row));
        text.push('\n');
        text.push_str(&table(&rows, |column, cell| match (column, cell) {
            (1, cell) if cell.starts_with("down") => RED,
            _ => Style::new(),
        }));
    }
    text
}

const RED: Style = AnsiColor::Red.on_default();

/// Colour of a state.
fn colour(state: &str) -> Style {
    let is = |other: State| state == other.to_string();
    if is(State::Master) {
        AnsiColor::Green.on_default()
    } else if is(State::Fault) {
        RED
    } else {
        Style::new()
    }
}

/// Present conditions of an instance that need attention, as sentences.
pub(crate) fn disturbances(instance: &RouterStatus) -> Vec<String> {
    let without_link = instance
        .without_link
        .iter()
        .map(|why| format!("no advertisements: {why} (no fault, because trackInterface is false)"));
    let flapping = instance.flapping.iter().map(|number| {
        let least = if *number < HISTORY { "" } else { "at least " };
        format!("flapping: {least}{number} transitions in the last minute")
    });
    without_link
        .chain(flapping)
        .chain(instance.unsent.iter().map(rejection))
        .chain(instance.address_conflict.iter().map(claim))
        .chain(instance.missing.iter().map(absence))
        .collect()
}

fn row(instance: &RouterStatus) -> [String; 8] {
    let priority = &instance.priority;
    let master = match (instance.state, &instance.master, instance.source) {
        (State::Master, _, Some(source)) => format!("{source} (this host)"),
        (State::Master, _, None) => "this host".to_owned(),
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

fn peer_row(instance: &RouterStatus, other: &OtherRouter) -> [String; 8] {
    [
        other.address.to_string(),
        instance.name.to_string(),
        other.priority.to_string(),
        instance.version.to_string(),
        format!("{} s", other.interval),
        format!("{} ago", age(other.age)),
        other
            .checksum
            .map_or("-", |form| match form {
                ChecksumForm::WithPseudoHeader => "pseudo-header",
                ChecksumForm::MessageOnly => "message only",
            })
            .to_owned(),
        match &*other.differences {
            [] => "-".to_owned(),
            differences => differences.join("; "),
        },
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
        (None, _) => "pending".to_owned(),
        (Some(up), None) => words(up).to_owned(),
        // The new result may be another number, and not down.
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

/// Keys of this host and of the other senders, and differences between the clocks.
fn signatures(hmac: &HmacStatus) -> String {
    let key = hmac.active_key;
    let mut text = match hmac.mode {
        HmacMode::Enforce => {
            format!("HMAC: signs with key {key}; unsigned advertisements are dropped")
        }
        HmacMode::Permissive => {
            format!("HMAC: signs with key {key}; unsigned advertisements are accepted")
        }
        HmacMode::ReceiveOnly => {
            "HMAC: does not sign; unsigned advertisements are accepted".to_owned()
        }
    };
    for sender in &hmac.senders {
        let _ = write!(text, "; {} signs with key {}", sender.address, sender.key);
        let apart = sender.ahead.unsigned_abs();
        match sender.ahead {
            0 => {}
            1.. => drop(write!(text, " (its clock is {apart} s ahead)")),
            _ => drop(write!(text, " (its clock is {apart} s behind)")),
        }
    }
    text
}

/// Unicast peers with the addresses to which their names resolve, and the further addresses that count
/// as peers.
fn peers(unicast: &UnicastStatus) -> String {
    let peer = |peer: &UnicastPeerStatus| {
        let addresses: Vec<String> = peer.addresses.iter().map(ToString::to_string).collect();
        match &*addresses {
            [address] if *address == peer.peer => peer.peer.clone(),
            [] => format!("{} (not resolved)", peer.peer),
            addresses => format!("{} ({})", peer.peer, addresses.join(" ")),
        }
    };
    let mut peers: Vec<String> = unicast.peers.iter().map(peer).collect();
    for peer in &unicast.peers {
        let former = peer.former.iter();
        peers.extend(former.map(|address| format!("{address} (former address of {})", peer.peer)));
    }
    let senders = unicast.senders.iter();
    peers.extend(senders.map(|address| format!("{address} (sender)")));
    let mut text = format!("unicast peers: {}", peers.join(", "));
    if let Some(unresolved) = unicast.peers.iter().find(|peer| peer.addresses.is_empty()) {
        let name = &unresolved.peer;
        let _ = write!(text, "; every sender is accepted until {name} is resolved");
    }
    text
}

/// Last, running and waiting notifications.
fn told(notify: &NotifyStatus) -> String {
    let mut parts = Vec::new();
    if let Some(last) = &notify.last {
        let how = if last.succeeded {
            "succeeded"
        } else {
            "failed"
        };
        let (event, age) = (last.event, age(last.age));
        parts.push(format!("{event} {how} {age} ago: {}", last.detail));
    }
    if let Some(event) = &notify.running {
        parts.push(format!("running: {event}"));
    }
    if !notify.waiting.is_empty() {
        let events: Vec<String> = notify.waiting.iter().map(ToString::to_string).collect();
        parts.push(format!("waiting: {}", events.join(", ")));
    }
    if parts.is_empty() {
        parts.push("no command has run yet".to_owned());
    }
    format!("notify: {}", parts.join("; "))
}

/// Role of the IPVS sync daemon, and its error.
fn synchronisation(lvs: &LvsStatus) -> String {
    let role = lvs
        .role
        .map_or_else(|| "none".to_owned(), |role| role.to_string());
    let mut text = format!(
        "LVS sync: {role} on {} (syncId {})",
        lvs.interface, lvs.sync_id
    );
    if let Some(error) = &lvs.error {
        let _ = write!(text, ", failed: {error}");
    }
    if lvs.repairs > 0 {
        let _ = write!(
            text,
            "; repairs: {} (stopped or changed by another program)",
            lvs.repairs
        );
    }
    text
}

/// Resources with their states, and the failure that keeps them from running.
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
        let _ = write!(text, "; next attempt in {seconds:.0} s");
    }
    text
}

/// Standing command of the operator.
pub(crate) fn standing(command: &CommandStatus) -> String {
    let whose = command.instance.as_ref();
    let mut text = whose.map_or_else(String::new, |instance| format!("{instance}: "));
    let _ = write!(text, "{}", command.command);
    if let Some(priority) = command.priority {
        let _ = write!(text, " {priority}");
    }
    let _ = write!(text, " by {}", command.by);
    match command.ends_in {
        Some(left) => drop(write!(text, ", ends in {}", wait(left))),
        None => text.push_str(", until it is ended"),
    }
    if command.last_resort == Some(false) {
        text.push_str(", without last resort");
    }
    if let Some(reason) = &command.reason {
        let _ = write!(text, ": {reason}");
    }
    text
}

/// Address of a master that the kernel does not have.
fn absence(missing: &MissingAddress) -> String {
    let MissingAddress {
        address,
        interface,
        error,
    } = missing;
    match error {
        Some(error) => {
            format!("missing: {address} on {interface}: the kernel rejects it: {error}")
        }
        None => format!("missing: {address} on {interface}"),
    }
}

/// Last claim of a virtual address by another host.
fn claim(conflict: &ConflictStatus) -> String {
    let ConflictStatus {
        address,
        mac,
        interface,
        age,
    } = conflict;
    let age = self::age(*age);
    format!("address conflict: {mac} claimed {address} on {interface} {age} ago")
}

/// Family in which no advertisement leaves this host.
fn rejection(unsent: &UnsentStatus) -> String {
    let UnsentStatus { family, error, age } = unsent;
    format!(
        "not sent for {}: advertisements ({family}), which the kernel rejects: {error}",
        self::age(*age)
    )
}

/// Counters above zero that deserve attention.
fn notes(instance: &RouterStatus, text: &mut String) {
    let counters = &instance.counters;
    let mut note = |number: u64, noun: &str, rest: &str| {
        if number > 0 {
            let plural = if number == 1 { "" } else { "s" };
            let _ = writeln!(text, "  {number} {noun}{plural} {rest}");
        }
    };
    note(
        counters.repairs,
        "repair",
        "of virtual addresses (deleted while master, restored)",
    );
    note(
        counters.strays,
        "removal",
        "of virtual addresses (added while not master)",
    );
    note(
        counters.routing_repairs,
        "repair",
        "of routes or rules (deleted while master, restored)",
    );
    note(
        counters.routing_strays,
        "removal",
        "of routes or rules (added while not master)",
    );
    note(
        counters.second_masters,
        "advertisement",
        "from another master of lower precedence",
    );
    note(
        counters.adverts_unsent,
        "advertisement",
        "not sent (rejected by the kernel)",
    );
    note(
        counters.address_conflicts,
        "claim",
        "of virtual addresses by other hosts (ARP or neighbour discovery)",
    );
    note(
        counters.contests,
        "contest",
        "(another host was master too and has gone)",
    );
    note(
        counters.late_wakeups,
        "late wake-up",
        "(restarted the master-down timer)",
    );
    note(
        counters.withheld,
        "withheld take-over",
        "(advertisements that arrive and are dropped by this host)",
    );
    note(
        counters.interruptions,
        "short interruption",
        "of the interface or its address (no fault)",
    );
    note(
        counters.adverts_without_hmac,
        "advertisement",
        "without HMAC (accepted)",
    );
    note(
        counters.address_list_differs,
        "advertisement",
        "with another address list",
    );
    note(
        counters.interval_differs,
        "advertisement",
        "with another advertisement interval",
    );
    if let Some(notify) = &instance.notify {
        note(notify.failures, "failure", "of notify commands");
        note(
            notify.dropped,
            "notification",
            "superseded by a newer state",
        );
    }
    for cause in vrrp_proto::wire::DropCause::ALL {
        note(
            counters.dropped.get(*cause),
            "packet",
            &format!("dropped: {cause}"),
        );
    }
}

/// Failure of the last reload.
fn failed_reload(snapshot: &Snapshot) -> Option<String> {
    let last = snapshot.daemon.as_ref()?.last_reload.as_ref()?;
    let (error, age) = (last.error.as_deref()?, age(last.age));
    Some(format!(
        "the last reload failed {age} ago, and the former configuration stays in force: {error}"
    ))
}

/// [`age`] of a remaining time: rounded up, so that 0 appears only at its end.
pub(crate) fn wait(seconds: f64) -> String {
    age(seconds.ceil())
}

/// Time in one unit, rounded down: `5 s`, `3 min`, `2 h`, `4 d`.
pub(crate) fn age(seconds: f64) -> String {
    let units = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min")];
    units
        .iter()
        .find(|(unit, _)| seconds >= 2.0 * unit)
        .map_or_else(
            || format!("{seconds:.0} s"),
            |(unit, name)| format!("{:.0} {name}", (seconds / unit).floor()),
        )
}

/// Aligns columns by their widest cell; the last column is not padded. `style` returns the style of a cell
/// below the first row by its column and text.
fn table<const COLUMNS: usize>(
    rows: &[[String; COLUMNS]],
    style: impl Fn(usize, &str) -> Style,
) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..COLUMNS).map(width).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let style = match number {
                0 => Style::new(),
                _ => style(column, cell),
            };
            let rest = " ".repeat(width - cell.chars().count());
            let _ = write!(line, "{style}{cell}{style:#}{rest}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
pub(crate) mod tests;
