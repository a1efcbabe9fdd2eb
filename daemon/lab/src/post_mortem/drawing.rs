//! The result as an HTML page with timelines.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::analysis::{Analysis, Ended, Finding, Masters, Reason, Reign, VirtualRouter, What};
use super::file::FileFacts;
use super::observation::Observations;
use super::stamp::{Stamp, span};
use super::{text, words};
use crate::timeline::page::{escape, legend, table, write as write_page};
use crate::timeline::{Bound, Kind, Lane, Moment, TickKind, Timeline};

/// Number of changes that are drawn in detail for each virtual router.
const DETAILS: usize = 24;
/// Label of the lane with the times without exactly one master.
const PROBLEMS: &str = "no master, or two";
/// Number of intervals that a detail shows on each side of a change.
const AROUND: u32 = 4;

/// Writes the page.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn write(
    path: &Path,
    capture: &Path,
    facts: &FileFacts,
    seen: &Observations,
    analysis: &Analysis,
) -> io::Result<()> {
    let name = capture.file_name().unwrap_or(capture.as_os_str());
    let mut body = format!("<p>{}.</p>\n", escape(&text::summary(facts, analysis)));
    if let Some(broken) = &facts.broken {
        let _ = writeln!(
            body,
            "<p class=\"failed\">The file is damaged: {}. What was read before is analysed.</p>",
            escape(broken)
        );
    }
    if analysis.virtual_routers.is_empty() {
        body.push_str("<p>No advertisement of VRRP was found.</p>\n");
    } else {
        body.push_str(&legend());
    }
    for router in &analysis.virtual_routers {
        draw_router(&mut body, router, seen);
    }
    list(&mut body, "Other packets", &analysis.others, analysis.begin);
    write_page(path, &format!("VRRP in {}", name.display()), &body)
}

fn draw_router(body: &mut String, router: &VirtualRouter, seen: &Observations) {
    let (wrong, notes): (Vec<_>, Vec<_>) = router
        .findings
        .iter()
        .cloned()
        .partition(|finding| finding.what.is_problem());
    let timeline = timeline(router, seen);
    let _ = writeln!(
        body,
        "<h2>{}: {}</h2>\n<ul>",
        escape(&words::name(&router.key)),
        escape(&words::list(&router.addresses, " "))
    );
    for one in &router.routers {
        let _ = writeln!(body, "<li>{}</li>", escape(&text::describe(one)));
    }
    let _ = writeln!(
        body,
        "</ul>\n<div class=\"scroll\">{}</div>",
        timeline.svg()
    );
    body.push_str("<h3>What happened</h3>\n<ul>\n");
    for reign in &router.reigns {
        item(
            body,
            Some(reign.first()),
            seen.begin,
            &words::beginning(reign),
        );
    }
    body.push_str("</ul>\n");
    if wrong.is_empty() {
        body.push_str("<p class=\"verdict ok\">Nothing was wrong.</p>\n");
    }
    list(body, "What was wrong", &wrong, seen.begin);
    list(body, "Good to know", &notes, seen.begin);
    let mut masters = text::masters(router).into_iter().map(|row| row.to_vec());
    let header = masters.next().unwrap_or_default();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let rows: Vec<_> = masters.collect();
    let _ = writeln!(body, "<h3>Masters</h3>\n{}", table(&header, &rows));
    details(body, router, seen, &timeline);
}

/// Enlarged parts of the timeline, around each change of master.
fn details(body: &mut String, router: &VirtualRouter, seen: &Observations, whole: &Timeline) {
    let changes = router
        .reigns
        .iter()
        .filter(|reign| reign.reason != Reason::Present);
    for reign in changes.take(DETAILS) {
        let around = reign.interval.duration() * AROUND;
        let cause = match reign.reason {
            Reason::Silence { silence, .. }
            | Reason::Early { silence, .. }
            | Reason::Returned { silence, .. } => reign.first() - silence,
            Reason::Resigned { waited, .. } => reign.first() - waited,
            Reason::Present
            | Reason::First
            | Reason::Preempted { .. }
            | Reason::GreaterAddress { .. }
            | Reason::Unheard { .. } => reign.first(),
        };
        let at = |stamp: Stamp| stamp.since(seen.begin);
        let (from, to) = (
            at(cause - around),
            at(reign.first() + around).min(whole.length),
        );
        if from.is_zero() && to == whole.length {
            continue;
        }
        let text = words::beginning(reign);
        let mut part = whole.part(from, to);
        part.lanes
            .retain(|lane| lane.label != PROBLEMS || !lane.spans.is_empty());
        part.title = format!("{:#}: {}", reign.first(), text);
        part.origin = Some(format!("{:#} UTC", seen.begin + from));
        let _ = writeln!(
            body,
            "<h3>{:#} UTC</h3>\n<p>{}</p>\n<div class=\"scroll\">{}</div>",
            reign.first(),
            escape(&text),
            part.svg()
        );
    }
    let more = router.reigns.len().saturating_sub(DETAILS + 1);
    if more > 0 {
        let _ = writeln!(
            body,
            "<p class=\"dim\">{more} more changes are not drawn.</p>"
        );
    }
}

fn list(body: &mut String, title: &str, findings: &[Finding], begin: Stamp) {
    if findings.is_empty() {
        return;
    }
    let _ = writeln!(body, "<h3>{title}</h3>\n<ul>");
    for finding in findings {
        item(body, finding.at, begin, &words::finding(&finding.what));
    }
    body.push_str("</ul>\n");
}

fn item(body: &mut String, at: Option<Stamp>, begin: Stamp, text: &str) {
    let time = at.map_or_else(String::new, |at| {
        format!(
            "<span class=\"time\">{at:#} ({})</span> ",
            text::relative(at.since(begin)).trim()
        )
    });
    let _ = writeln!(body, "<li>{time}{}</li>", escape(text));
}

/// The timeline of a virtual router.
pub(crate) fn timeline(router: &VirtualRouter, seen: &Observations) -> Timeline {
    let at = |stamp: Stamp| stamp.since(seen.begin);
    let mut lanes: Vec<Lane> = router
        .routers
        .iter()
        .map(|one| {
            let priorities = words::list(&one.priorities, "/");
            Lane::new(format!("{} ({priorities})", one.address))
        })
        .collect();
    let mut bounds = Vec::new();
    let mut moments = Vec::new();
    for reign in &router.reigns {
        let position = router
            .routers
            .iter()
            .position(|one| one.address == reign.router);
        let Some(lane) = position.and_then(|index| lanes.get_mut(index)) else {
            continue;
        };
        let to = match reign.ended {
            Ended::Continues => seen.end,
            Ended::Resigned(_) | Ended::Silent => reign.to(),
            // It was master until it heard its successor.
            Ended::Superseded(by) => router
                .reigns
                .iter()
                .filter(|next| next.router == by && next.first() >= reign.last())
                .map(Reign::first)
                .find(|first| first.since(reign.last()) <= reign.longest_wait())
                .unwrap_or(reign.last()),
        };
        lane.span(
            at(reign.first()),
            at(to.max(reign.first() + Duration::from_millis(1))),
            Kind::Master,
            format!("master, priority {}", reign.priority),
        );
        for advert in &reign.adverts {
            lane.tick(at(*advert), TickKind::Advert, "advertisement");
        }
        if let Ended::Resigned(end) = reign.ended {
            lane.tick(at(end), TickKind::Final, "advertisement of priority 0");
        }
        let first = at(reign.first());
        match reign.reason {
            Reason::Silence {
                silence,
                interval,
                skew,
                ..
            } => {
                let from = first.saturating_sub(silence);
                let down = interval * 3 + skew;
                bounds.push(bound(from, down, "master-down interval"));
            }
            Reason::Resigned { waited, skew, .. } => {
                bounds.push(bound(first.saturating_sub(waited), skew, "skew time"));
            }
            Reason::Early { silence, down, .. } => {
                let from = first.saturating_sub(silence);
                bounds.push(bound(from, down, "master-down interval"));
            }
            Reason::Preempted { .. } => moments.push(moment(first, "higher priority")),
            Reason::GreaterAddress { .. } => moments.push(moment(first, "greater address")),
            Reason::Unheard { .. } => moments.push(moment(first, "does not hear the master")),
            Reason::Present | Reason::First | Reason::Returned { .. } => {}
        }
    }
    // A flapping master would cover the lanes with text.
    bounds.truncate(DETAILS);
    moments.truncate(DETAILS);
    lanes.push(claims(router, seen));
    lanes.extend(problems(router, seen));
    Timeline {
        title: format!(
            "{}: masters from {} to {:#} UTC",
            words::name(&router.key),
            seen.begin,
            seen.end
        ),
        description: "One lane for each router, with a bar while it is master and a mark for each advertisement; below \
                      them the announcements of the addresses and the times without exactly one master."
            .to_owned(),
        origin: Some(format!("{:#} UTC", seen.begin)),
        length: at(seen.end),
        lanes,
        bounds,
        moments,
    }
}

fn moment(at: Duration, text: &str) -> Moment {
    Moment {
        at,
        text: text.to_owned(),
    }
}

fn bound(from: Duration, length: Duration, name: &str) -> Bound {
    Bound {
        from,
        to: from + length,
        text: format!("{name} {}", span(length)),
    }
}

/// Announcements of the addresses, and claims by hosts that are not master.
fn claims(router: &VirtualRouter, seen: &Observations) -> Lane {
    let mut lane = Lane::new("ARP, neighbours");
    lane.is_network = true;
    let masters = Masters::of(router);
    for sighting in &seen.claims {
        let claim = &sighting.what.claim;
        if sighting.what.network != router.key.network || !router.addresses.contains(&claim.address)
        {
            continue;
        }
        let text = format!("{} is at {}", claim.address, claim.mac);
        let at = sighting.at.since(seen.begin);
        if masters.is_foreign(sighting) {
            lane.tick(at, TickKind::Claim, text);
        } else if claim.is_announcement {
            lane.tick(at, TickKind::Announcement, text);
        }
    }
    lane
}

/// Times without master or with two, if there were any.
fn problems(router: &VirtualRouter, seen: &Observations) -> Option<Lane> {
    let mut lane = Lane::new(PROBLEMS);
    for finding in &router.findings {
        let (from, to, text) = if let What::TwoMasters { from, to, .. } = finding.what {
            (from, to, "two masters")
        } else if let What::NoMaster { from, to, .. } = finding.what {
            (from, to, "no master")
        } else if let What::MasterSilent { silence, .. } = finding.what {
            let from = finding.at.unwrap_or_default();
            (from, from + silence, "no master")
        } else {
            continue;
        };
        lane.span(
            from.since(seen.begin),
            to.since(seen.begin),
            Kind::Bad,
            text,
        );
    }
    (!lane.spans.is_empty()).then_some(lane)
}
