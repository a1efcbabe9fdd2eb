//! The report of a run: for each step a timeline of both hosts, of the address and of the client, with the times that
//! the protocol grants.
//!
//! Everything drawn was observed for the verdict anyway: states in the daemons' logs, addresses by the kernel's
//! events, answers of the client. Only the packets are captured in addition. They are analysed as those of
//! `vrrp-lab capture`, which gives the reasons of changes and the bounds.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use vrrp_lab::{Ask, Capture, Error, Filter, Line, Moment, Result, Segment};
use vrrp_proto::Vrid;

use super::course::{Instance, Role};
use super::fixture::Machine;
use super::millis;
use crate::post_mortem::{Packets, Traffic};
use crate::timeline::page::{escape, legend, table, write as write_page};
use crate::timeline::{Bound, Kind, Lane, Moment as Mark, Tick, Timeline};

/// Period in which captured packets are collected, so that the packets of the client wake no thread.
const PACE: Duration = Duration::from_millis(50);
/// Time between two answers from which on it is drawn as an outage. The client sends a request every 10 ms.
const OUTAGE: Duration = Duration::from_millis(30);

/// Time before the step that its drawing shows, unless the step itself is shorter.
const BEFORE: Duration = Duration::from_secs(1);

/// Captures of the network of an instance.
pub(crate) struct Wire {
    adverts: Capture,
    arp: Capture,
}

impl Wire {
    pub(crate) fn new(network: &Segment) -> Result<Self> {
        Ok(Self {
            adverts: network.capture_at_leisure(Filter::vrrp(), PACE)?,
            arp: network.capture_at_leisure(Filter::arp(), PACE)?,
        })
    }

    /// What the packets from `begin` to `end` show.
    fn packets(&self, begin: Moment, end: Moment) -> Packets {
        let mut frames = self.adverts.frames().entries();
        frames.extend(self.arp.frames().entries());
        frames.retain(|frame| (begin..=end).contains(&frame.at));
        let nanos = |at: Moment| at.as_nanos();
        let frames = frames
            .iter()
            .map(|frame| (nanos(frame.at), &frame.bytes[..]));
        Packets::of_frames(nanos(begin), nanos(end), frames)
    }
}

/// Result of a step.
pub(crate) struct Row {
    pub(crate) experiment: u8,
    pub(crate) name: &'static str,
    pub(crate) expected: String,
    pub(crate) seen: String,
    pub(crate) outage: Duration,
    pub(crate) bound: Duration,
    /// Unmet expectations.
    pub(crate) problems: Vec<String>,
    /// Timelines, if there is a report.
    pub(crate) drawing: Option<Drawing>,
}

impl Row {
    pub(crate) const fn verdict(&self) -> &'static str {
        if self.problems.is_empty() {
            "ok"
        } else {
            "FAILED"
        }
    }
}

/// Timelines of a step, one for each instance, and the reasons of the changes.
pub(crate) struct Drawing {
    instances: Vec<(Timeline, Vec<String>)>,
}

/// Observations of one instance during an experiment.
pub(crate) struct Observed<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) wire: &'a Wire,
    pub(crate) machines: [(Role, &'a Machine<'a>); 2],
    /// Times in which each host held the address, and in which both did.
    pub(crate) held: [Vec<(Moment, Option<Moment>)>; 2],
    pub(crate) held_twice: Vec<(Moment, Option<Moment>)>,
    pub(crate) asks: Vec<Ask>,
}

/// Times of a step.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    /// Beginning of the experiment.
    pub(crate) begun: Moment,
    pub(crate) start: Moment,
    pub(crate) end: Moment,
    /// Time from which on the client must receive answers, and the longest outage that the protocol allows.
    pub(crate) serves_from: Moment,
    pub(crate) bound: Duration,
}

impl Times {
    /// Beginning of the drawing, which shows what was before the step.
    fn shown_from(self) -> Moment {
        let before = BEFORE.min(self.end.since(self.start));
        (self.start - before).max(self.begun)
    }
}

impl Drawing {
    pub(crate) fn new(name: &str, observed: &[Observed<'_>], times: Times) -> Self {
        let instances = observed.iter().map(|one| one.draw(name, times));
        Self {
            instances: instances.collect(),
        }
    }
}

impl Observed<'_> {
    fn draw(&self, name: &str, times: Times) -> (Timeline, Vec<String>) {
        let Times {
            begun, start, end, ..
        } = times;
        let packets = self.wire.packets(begun, end);
        let vrid = Vrid::new(self.instance.vrid);
        let traffic = vrid.and_then(|vrid| packets.traffic(vrid));
        let mut lanes = Vec::new();
        for (role, machine) in &self.machines {
            let label = format!("{}: {}", role.name(), self.instance.name);
            let mut lane = states(machine, self.instance, times, label);
            let address: Option<IpAddr> = self.own_address(*role);
            lane.ticks = ticks(traffic.as_ref(), address);
            lanes.push(lane);
        }
        lanes.push(self.holder(times, traffic.as_ref()));
        lanes.push(self.client(times));
        let at = |moment: Moment| moment.since(begun);
        let mut bounds = Vec::new();
        let mut moments = Vec::new();
        let mut sentences = Vec::new();
        if let Some(traffic) = traffic {
            sentences = traffic.sentences(at(start), at(end));
            (bounds, moments) = (traffic.timeline.bounds, traffic.timeline.moments);
        }
        moments.push(Mark {
            at: at(start),
            text: name.to_owned(),
        });
        if !times.bound.is_zero() {
            let from = at(times.serves_from);
            bounds.push(Bound {
                from,
                to: from + times.bound,
                text: format!("client's limit {}", millis(times.bound)),
            });
        }
        let whole = Timeline {
            title: format!("{name}: {} of {}", self.instance.name, self.instance.vip),
            description: "States of the daemon on both hosts with their advertisements, the holder of the address with its \
                          announcements, and the answers to the client, over the time of the step."
                .to_owned(),
            origin: None,
            length: at(end),
            lanes,
            bounds,
            moments,
        };
        (whole.part(at(times.shown_from()), at(end)), sentences)
    }

    fn own_address(&self, role: Role) -> Option<IpAddr> {
        let address = role.address(self.instance);
        address.split('/').next()?.parse().ok()
    }

    fn holder(&self, times: Times, traffic: Option<&Traffic>) -> Lane {
        let mut lane = Lane::new(format!("holder of {}", self.instance.vip));
        let at = |moment: Moment| moment.since(times.begun);
        let end = |to: Option<Moment>| at(to.unwrap_or(times.end));
        for ((role, _), held) in self.machines.iter().zip(&self.held) {
            for (from, to) in held {
                lane.span(
                    at(*from),
                    end(*to),
                    Kind::Good,
                    format!("on {}", role.name()),
                );
            }
        }
        for (from, to) in &self.held_twice {
            lane.span(at(*from), end(*to), Kind::Bad, "on both hosts");
        }
        if let Some(traffic) = traffic {
            let arp = traffic.timeline.lanes.iter().filter(|lane| lane.is_network);
            lane.ticks = arp.flat_map(|lane| lane.ticks.clone()).collect();
        }
        lane
    }

    /// Answers to the client, and the times without.
    fn client(&self, times: Times) -> Lane {
        let mut lane = Lane::new(format!("client of {}", self.instance.vip));
        let shown_from = times.shown_from();
        let at = |moment: Moment| moment.since(times.begun);
        let mut answers: Vec<(Moment, &str)> = self
            .asks
            .iter()
            .filter_map(|ask| Some((ask.done, ask.answer.as_deref().ok()?)))
            .filter(|(done, _)| (shown_from..=times.end).contains(done))
            .collect();
        answers.sort();
        let mut since = shown_from;
        let mut last = shown_from;
        let mut by: Option<&str> = None;
        let served = |lane: &mut Lane, from: Moment, to: Moment, by: Option<&str>| {
            if let Some(name) = by {
                lane.span(at(from), at(to), Kind::Good, format!("answered by {name}"));
            }
        };
        let outage = |lane: &mut Lane, from: Moment, to: Moment| {
            let text = format!("no answer for {}", millis(to.since(from)));
            lane.span(at(from), at(to), Kind::Bad, text);
        };
        for (done, name) in answers {
            let is_gap = done.since(last) >= OUTAGE;
            if is_gap || by != Some(name) {
                served(&mut lane, since, if is_gap { last } else { done }, by);
                if is_gap {
                    outage(&mut lane, last, done);
                }
                (since, by) = (done, Some(name));
            }
            last = done;
        }
        served(&mut lane, since, last, by);
        if times.end.since(last) >= OUTAGE {
            outage(&mut lane, last, times.end);
        }
        lane
    }
}

/// States of an instance, from the daemons' logs.
fn states(machine: &Machine<'_>, instance: &Instance, times: Times, label: String) -> Lane {
    let mut lane = Lane::new(label);
    let at = |moment: Moment| moment.since(times.begun);
    let mut off_since = Duration::ZERO;
    for life in machine.lives() {
        lane.span(off_since, at(life.started), Kind::Off, "not running");
        let ended = life.ended.map_or(at(times.end), at);
        let mut since = at(life.started);
        let mut state = "init".to_owned();
        for line in life.log.entries() {
            let Some(next) = arrival(&line, instance.name) else {
                continue;
            };
            lane.span(since, at(line.at).min(ended), kind(&state), state);
            (since, state) = (at(line.at), next.to_owned());
        }
        lane.span(since, ended, kind(&state), state);
        off_since = ended;
    }
    lane.span(off_since, at(times.end), Kind::Off, "not running");
    lane
}

/// The new state, if a line of the log reports a transition of the instance.
fn arrival<'a>(line: &'a Line, instance: &str) -> Option<&'a str> {
    let (_, transition) = line.text.split_once(&format!("{instance}: "))?;
    let mut words = transition.split(' ');
    let (_, arrow, to) = (words.next()?, words.next()?, words.next()?);
    (arrow == "->").then_some(to)
}

fn kind(state: &str) -> Kind {
    match state {
        "master" => Kind::Master,
        "backup" => Kind::Backup,
        "fault" => Kind::Fault,
        _ => Kind::Off,
    }
}

fn ticks(traffic: Option<&Traffic>, address: Option<IpAddr>) -> Vec<Tick> {
    let Some((traffic, address)) = traffic.zip(address) else {
        return Vec::new();
    };
    let lanes = traffic.routers.iter().zip(&traffic.timeline.lanes);
    lanes
        .filter(|(router, _)| **router == address)
        .flat_map(|(_, lane)| lane.ticks.clone())
        .collect()
}

/// Creates the directory of the report, before the experiments take their time.
pub(crate) fn create(directory: &Path) -> Result<()> {
    let doing = format!("creating the directory {}", directory.display());
    fs::create_dir_all(directory).map_err(|error| Error::new(doing, error))
}

/// Writes `index.html` into the directory. Returns the path.
pub(crate) fn write(directory: &Path, rows: &[Row], verdict: &str) -> Result<std::path::PathBuf> {
    let path = directory.join("index.html");
    let mut body = format!(
        "<p class=\"verdict\">{}</p>\n<p>Two hosts, <b>master</b> and <b>backup</b>, keep a virtual address by VRRP for a client, \
         which requests a page every 10 ms. Each step causes a fault or ends one. Its drawing has a lane for the state of the \
         daemon on each host, with a mark for each advertisement on the network; one for the host that holds the address, with a \
         mark for each announcement of it; and one for the answers that the client received.</p>\n{}",
        escape(verdict),
        legend()
    );
    let summary: Vec<Vec<String>> = rows.iter().enumerate().map(summary).collect();
    let header = [
        "#",
        "#experiment",
        "step",
        "expected",
        "observed",
        "#outage",
        "#limit",
        "verdict",
    ];
    body.push_str(&table(&header, &summary));
    for (index, row) in rows.iter().enumerate() {
        draw(&mut body, index, row);
    }
    write_page(&path, "The experiments of vrrp-lab", &body)
        .map_err(|error| Error::new(format!("writing {}", path.display()), error))?;
    Ok(path)
}

fn summary((index, row): (usize, &Row)) -> Vec<String> {
    vec![
        (index + 1).to_string(),
        row.experiment.to_string(),
        row.name.to_owned(),
        row.expected.clone(),
        row.seen.clone(),
        millis(row.outage),
        millis(row.bound),
        row.verdict().to_owned(),
    ]
}

fn draw(body: &mut String, index: usize, row: &Row) {
    let class = if row.problems.is_empty() {
        "ok"
    } else {
        "failed"
    };
    let _ = writeln!(
        body,
        "<section id=\"step-{0}\">\n<h2>{0}. {1} <span class=\"{class}\">{2}</span></h2>\n\
         <p>Expected: {3}. Observed: {4}. Client without an answer for {5} at most; the limit of the protocol is {6}.</p>",
        index + 1,
        escape(row.name),
        row.verdict(),
        escape(&row.expected),
        escape(&row.seen),
        millis(row.outage),
        millis(row.bound)
    );
    for problem in &row.problems {
        let _ = writeln!(body, "<p class=\"failed\">Problem: {}</p>", escape(problem));
    }
    let drawings = row.drawing.iter().flat_map(|drawing| &drawing.instances);
    for (timeline, sentences) in drawings {
        let _ = writeln!(body, "<div class=\"scroll\">{}</div>", timeline.svg());
        if !sentences.is_empty() {
            let items: Vec<_> = sentences
                .iter()
                .map(|sentence| format!("<li>{}</li>\n", escape(sentence)))
                .collect();
            let _ = writeln!(body, "<ul>\n{}</ul>", items.concat());
        }
    }
    body.push_str("</section>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transitions_of_an_instance_are_read_from_the_log() {
        let line = |text: &str| Line {
            at: Moment::default(),
            text: text.to_owned(),
        };
        let of = |text| arrival(&line(text), "VI_1").map(str::to_owned);
        assert_eq!(
            of("INFO VI_1: backup -> master (priority 100): silence"),
            Some("master".to_owned())
        );
        assert_eq!(of("INFO VI_2: backup -> master (priority 100)"), None);
        assert_eq!(of("INFO VI_1: configuration mismatch with 10.0.0.1"), None);
    }
}
