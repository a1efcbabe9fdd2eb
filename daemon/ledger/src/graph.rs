//! Graph of a router's state transitions as SVG, drawn from the snapshot of their table.
//!
//! Backup and master are placed side by side, init above and fault below them. The cards of backup and
//! master list the events that do not leave the state; arrows are labelled with the events that lead along
//! them and with the router's actions.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// First flavour of the table, which the other flavours are compared with.
const PLAIN: &str = "version 3";

/// Line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Kind of router: `version 3`, `owner`.
    pub flavour: String,
    /// State before the event.
    pub from: String,
    /// Event.
    pub event: String,
    /// State after the event.
    pub to: String,
    /// Actions: `advertises`, `take-over in 3.609 s`.
    pub acts: Vec<String>,
}

impl Transition {
    /// Actions without timers, which differ with every priority.
    fn deeds(&self) -> Vec<&str> {
        let deeds = self.acts.iter().map(String::as_str);
        deeds.filter(|act| !is_timer(act)).collect()
    }
}

fn is_timer(act: &str) -> bool {
    act == "timer off" || act.contains(" in ")
}

/// Parses the snapshot of the table.
///
/// # Errors
///
/// The line that is not part of a table.
pub fn parse(snapshot: &str) -> Result<Vec<Transition>, String> {
    let (_, table) = snapshot
        .trim_start_matches("---\n")
        .split_once("---\n")
        .ok_or("not a snapshot")?;
    let mut flavour = "";
    let mut transitions = Vec::new();
    for line in table.lines() {
        let Some(line) = line.strip_prefix("  ") else {
            flavour = line;
            continue;
        };
        let transition =
            transition(flavour, line).ok_or_else(|| format!("not a transition: {line}"))?;
        transitions.push(transition);
    }
    Ok(transitions)
}

fn transition(flavour: &str, line: &str) -> Option<Transition> {
    let (cause, outcome) = line.split_once(" -> ")?;
    let (from, event) = cause.split_once(" + ")?;
    // The reason in parentheses is for the log and is not drawn.
    let outcome = outcome
        .split_once("; (")
        .map_or(outcome, |(outcome, _)| outcome);
    let mut words = outcome.split("; ").map(str::to_owned);
    Some(Transition {
        flavour: flavour.to_owned(),
        from: from.trim().to_owned(),
        event: event.trim().to_owned(),
        to: words.next()?,
        acts: words.collect(),
    })
}

/// Returns the pairs of a state and an event that are missing for the first flavour, although both occur in
/// it.
pub fn missing(transitions: &[Transition]) -> Vec<(String, String)> {
    let plain = || transitions.iter().filter(|t| t.flavour == PLAIN);
    let pairs: BTreeSet<_> = plain()
        .map(|t| (t.from.as_str(), t.event.as_str()))
        .collect();
    let events: BTreeSet<_> = pairs.iter().map(|(_, event)| *event).collect();
    CARDS
        .iter()
        .flat_map(|card| events.iter().map(|event| (card.state, *event)))
        .filter(|pair| !pairs.contains(pair))
        .map(|(state, event)| (state.to_owned(), event.to_owned()))
        .collect()
}

/// Drawing of a state.
struct Card {
    state: &'static str,
    x: i32,
    y: i32,
    width: i32,
    height: i32,
    /// Remark that does not follow from the table.
    remark: &'static str,
}

const CARDS: [Card; 4] = [
    Card {
        state: "init",
        x: 620,
        y: 30,
        width: 260,
        height: 70,
        remark: "before the start, after the stop",
    },
    Card {
        state: "backup",
        x: 30,
        y: 205,
        width: 410,
        height: 500,
        remark: "listens",
    },
    Card {
        state: "master",
        x: 1060,
        y: 205,
        width: 410,
        height: 500,
        remark: "holds the addresses",
    },
    Card {
        state: "fault",
        x: 620,
        y: 810,
        width: 260,
        height: 70,
        remark: "cannot serve",
    },
];

/// Drawing of an arrow, with the position of its label.
struct Arrow {
    from: &'static str,
    to: &'static str,
    path: &'static str,
    x: i32,
    y: i32,
    anchor: &'static str,
    /// Whether the lines of the label extend upwards from its position, or downwards.
    up: bool,
}

const fn arrow(
    from: &'static str,
    to: &'static str,
    path: &'static str,
    (x, y): (i32, i32),
    anchor: &'static str,
    up: bool,
) -> Arrow {
    Arrow {
        from,
        to,
        path,
        x,
        y,
        anchor,
        up,
    }
}

const ARROWS: [Arrow; 12] = [
    arrow(
        "init",
        "backup",
        "M620 52 C330 52 235 100 235 198",
        (310, 78),
        "end",
        true,
    ),
    arrow(
        "backup",
        "init",
        "M290 205 C290 140 420 82 613 82",
        (420, 150),
        "start",
        false,
    ),
    arrow(
        "init",
        "master",
        "M880 52 C1170 52 1265 100 1265 198",
        (1190, 70),
        "start",
        true,
    ),
    arrow(
        "master",
        "init",
        "M1210 205 C1210 140 1080 82 887 82",
        (1080, 150),
        "end",
        false,
    ),
    arrow(
        "fault",
        "backup",
        "M620 858 C330 858 235 810 235 712",
        (310, 846),
        "end",
        false,
    ),
    arrow(
        "backup",
        "fault",
        "M290 705 C290 770 420 828 613 828",
        (420, 770),
        "start",
        true,
    ),
    arrow(
        "fault",
        "master",
        "M880 858 C1170 858 1265 810 1265 712",
        (1190, 852),
        "start",
        false,
    ),
    arrow(
        "master",
        "fault",
        "M1210 705 C1210 770 1080 828 887 828",
        (1080, 770),
        "end",
        true,
    ),
    arrow(
        "backup",
        "master",
        "M440 400 L1053 400",
        (458, 388),
        "start",
        true,
    ),
    arrow(
        "master",
        "backup",
        "M1060 510 L447 510",
        (1042, 534),
        "end",
        false,
    ),
    arrow(
        "init",
        "fault",
        "M735 100 L735 803",
        (723, 200),
        "end",
        false,
    ),
    arrow(
        "fault",
        "init",
        "M765 810 L765 107",
        (777, 720),
        "start",
        true,
    ),
];

const LINE: i32 = 18;

const STYLE: &str = "\
text { font: 14px system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #1f2328 }
.paper { fill: #ffffff }
.card { fill: #f6f8fa; stroke-width: 2 }
.init .card { stroke: #6e7781 } .backup .card { stroke: #0969da }
.master .card { stroke: #1a7f37 } .fault .card { stroke: #cf222e }
.name { font-size: 20px; font-weight: 600 }
.quiet { fill: #59636e }
.deed { fill: #8250df }
.line { fill: none; stroke: #59636e; stroke-width: 1.5; marker-end: url(#tip) }
#tip path { fill: #59636e }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.paper { fill: #0d1117 }
.card { fill: #161b22 }
.quiet { fill: #9198a1 }
.deed { fill: #bc8cff }
.line { stroke: #9198a1 }
#tip path { fill: #9198a1 }
}
";

/// Draws the graph as an SVG image.
///
/// # Errors
///
/// A state that is not in the drawing, or with more lines than fit into its card.
pub fn draw(transitions: &[Transition]) -> Result<String, String> {
    let shown = shown(transitions);
    if let Some(stranger) = shown.iter().find(|t| {
        let known = |state: &str| CARDS.iter().any(|card| card.state == state);
        !known(&t.from) || !known(&t.to)
    }) {
        return Err(format!(
            "unknown state in {} -> {}",
            stranger.from, stranger.to
        ));
    }
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1500 940\" role=\"img\">\n\
         <title>State transitions of a virtual router</title>\n",
    );
    let _ = write!(svg, "<style>\n{STYLE}</style>\n");
    svg.push_str(
        "<defs><marker id=\"tip\" viewBox=\"0 0 10 10\" refX=\"8\" refY=\"5\" markerWidth=\"9\" \
         markerHeight=\"9\" orient=\"auto\"><path d=\"M0 0L10 5L0 10z\"/></marker></defs>\n\
         <rect class=\"paper\" width=\"1500\" height=\"940\"/>\n",
    );
    for card in &CARDS {
        draw_card(&mut svg, card, &shown)?;
    }
    for arrow in &ARROWS {
        draw_arrow(&mut svg, arrow, &shown);
    }
    text(
        &mut svg,
        (30, 920),
        "start",
        "quiet",
        "From the table in daemon/proto/src/router/tests/table.rs: priority 100, one second, an \
         advertised interval of two seconds. In brackets: only this kind of router. Events \
         without an effect are not drawn.",
    );
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// Selects the transitions to draw: all with an effect, and of the other flavours those that differ by more
/// than timers.
fn shown(transitions: &[Transition]) -> Vec<Transition> {
    let mut shown: Vec<Transition> = Vec::new();
    for transition in transitions {
        if transition.from == transition.to && transition.acts.is_empty() {
            continue;
        }
        let like = |known: &Transition| {
            known.from == transition.from
                && known.event == transition.event
                && known.to == transition.to
                && known.deeds() == transition.deeds()
        };
        if !shown.iter().any(like) {
            shown.push(transition.clone());
        }
    }
    shown
}

/// Groups events with the same actions, in the order of the table.
fn grouped<'t>(transitions: impl Iterator<Item = &'t Transition>) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for transition in transitions {
        // The caption gives the priority and interval of the other flavours, not of an owner.
        let owner = transition.flavour.contains("owner");
        let deeds = if transition.from == transition.to && !owner {
            transition.acts.join(", ")
        } else {
            transition.deeds().join(", ")
        };
        let event = match transition.flavour.as_str() {
            PLAIN => transition.event.clone(),
            flavour => format!("{} [{flavour}]", transition.event),
        };
        match groups.iter_mut().find(|(known, _)| *known == deeds) {
            Some((_, events)) => events.push(event),
            None => groups.push((deeds, vec![event])),
        }
    }
    groups
}

fn draw_card(svg: &mut String, card: &Card, shown: &[Transition]) -> Result<(), String> {
    let Card {
        state,
        x,
        y,
        width,
        height,
        remark,
    } = card;
    let _ = writeln!(svg, "<g class=\"{state}\">");
    let _ = writeln!(
        svg,
        "<rect class=\"card\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"10\"/>"
    );
    let staying = shown.iter().filter(|t| t.from == *state && t.to == *state);
    let groups = grouped(staying);
    if groups.is_empty() {
        let middle = x + width / 2;
        text(svg, (middle, y + 32), "middle", "name", state);
        text(svg, (middle, y + 54), "middle", "quiet", remark);
    } else {
        text(svg, (x + 16, y + 32), "start", "name", state);
        text(svg, (x + width - 16, y + 32), "end", "quiet", remark);
        let mut line = y + 64;
        for (deeds, events) in groups {
            for event in events {
                text(svg, (x + 16, line), "start", "event", &event);
                line += LINE;
            }
            text(svg, (x + 40, line), "start", "deed", &format!("→ {deeds}"));
            line += LINE + 6;
        }
        if line > y + height + LINE {
            return Err(format!("too many lines for the card of {state}"));
        }
    }
    svg.push_str("</g>\n");
    Ok(())
}

fn draw_arrow(svg: &mut String, arrow: &Arrow, shown: &[Transition]) {
    let along = shown
        .iter()
        .filter(|t| t.from == arrow.from && t.to == arrow.to);
    let mut lines = Vec::new();
    for (deeds, events) in grouped(along) {
        lines.extend(events.into_iter().map(|event| ("event", event)));
        if !deeds.is_empty() {
            lines.push(("deed", format!("→ {deeds}")));
        }
    }
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(svg, "<path class=\"line\" d=\"{}\"/>", arrow.path);
    let above = i32::try_from(lines.len()).unwrap_or(i32::MAX) - 1;
    let mut y = if arrow.up {
        arrow.y - above * LINE
    } else {
        arrow.y
    };
    for (class, line) in lines {
        text(svg, (arrow.x, y), arrow.anchor, class, &line);
        y += LINE;
    }
}

fn text(svg: &mut String, (x, y): (i32, i32), anchor: &str, class: &str, text: &str) {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{escaped}</text>"
    );
}

#[cfg(test)]
mod tests;
