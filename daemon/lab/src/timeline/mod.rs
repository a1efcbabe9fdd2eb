//! Timelines: what several hosts did over a span of time, as data and as a drawing.
//!
//! A [`Timeline`] has one lane for each subject (a router, a host, a client) over a common axis. `svg` draws
//! it, `page` puts drawings, tables and sentences into a self-contained HTML page.

pub(crate) mod page;
mod svg;

use std::time::Duration;

/// Lanes over a common axis, which begins at zero.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timeline {
    /// Accessible name of the drawing.
    pub(crate) title: String,
    /// Accessible description of what the drawing shows.
    pub(crate) description: String,
    /// Time of day at zero, if the axis has one.
    pub(crate) origin: Option<String>,
    pub(crate) length: Duration,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) bounds: Vec<Bound>,
    pub(crate) moments: Vec<Moment>,
}

/// One subject.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lane {
    pub(crate) label: String,
    /// Whether its marks are packets about the address, from any host.
    pub(crate) is_network: bool,
    pub(crate) spans: Vec<Span>,
    pub(crate) ticks: Vec<Tick>,
}

/// Time during which a subject was in a state.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) from: Duration,
    pub(crate) to: Duration,
    pub(crate) kind: Kind,
    /// Text in the bar, where it fits, and the first word of its tooltip.
    pub(crate) text: String,
}

/// Meaning of a bar, and thereby its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Master,
    Backup,
    Fault,
    /// Not running, or not yet in a state.
    Off,
    /// The address is on the host, or the client receives answers.
    Good,
    /// Without master, without answer, or two masters.
    Bad,
}

/// Event of no duration.
#[derive(Clone, Debug)]
pub(crate) struct Tick {
    pub(crate) at: Duration,
    pub(crate) kind: TickKind,
    pub(crate) text: String,
}

/// Meaning of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TickKind {
    Advert,
    /// Advertisement of priority 0.
    Final,
    /// Gratuitous ARP, or unsolicited neighbour advertisement.
    Announcement,
    /// Claim of an address by a host that is not master.
    Claim,
}

/// Time that the protocol grants, drawn as a dimension line above the lanes.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) from: Duration,
    /// End, which may be beyond the axis.
    pub(crate) to: Duration,
    pub(crate) text: String,
}

/// Vertical line through all lanes.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    pub(crate) at: Duration,
    pub(crate) text: String,
}

impl Lane {
    pub(crate) fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            ..Self::default()
        }
    }

    /// Adds a bar; one without duration is left out.
    pub(crate) fn span(
        &mut self,
        from: Duration,
        to: Duration,
        kind: Kind,
        text: impl Into<String>,
    ) {
        if from < to {
            self.spans.push(Span {
                from,
                to,
                kind,
                text: text.into(),
            });
        }
    }

    pub(crate) fn tick(&mut self, at: Duration, kind: TickKind, text: impl Into<String>) {
        self.ticks.push(Tick {
            at,
            kind,
            text: text.into(),
        });
    }
}

impl Timeline {
    /// The part between two times, with `from` as its zero.
    pub(crate) fn part(&self, from: Duration, to: Duration) -> Self {
        let shift = |at: Duration| at.clamp(from, to).saturating_sub(from);
        let is_inside = |at: Duration| (from..=to).contains(&at);
        let lanes = self.lanes.iter().map(|lane| {
            let mut part = Lane::new(lane.label.as_str());
            part.is_network = lane.is_network;
            for span in lane
                .spans
                .iter()
                .filter(|span| span.to > from && span.from < to)
            {
                part.span(
                    shift(span.from),
                    shift(span.to),
                    span.kind,
                    span.text.as_str(),
                );
            }
            for tick in lane.ticks.iter().filter(|tick| is_inside(tick.at)) {
                part.tick(shift(tick.at), tick.kind, tick.text.as_str());
            }
            part
        });
        let bounds = self
            .bounds
            .iter()
            .filter(|bound| bound.to > from && bound.from < to);
        let moments = self.moments.iter().filter(|moment| is_inside(moment.at));
        Self {
            title: self.title.clone(),
            description: self.description.clone(),
            origin: None,
            length: to.saturating_sub(from),
            lanes: lanes.collect(),
            bounds: bounds
                .map(|bound| Bound {
                    from: shift(bound.from),
                    to: bound.to.saturating_sub(from),
                    text: bound.text.clone(),
                })
                .collect(),
            moments: moments
                .map(|moment| Moment {
                    at: shift(moment.at),
                    text: moment.text.clone(),
                })
                .collect(),
        }
    }

    /// The drawing as an SVG element for an HTML page.
    pub(crate) fn svg(&self) -> String {
        svg::draw(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn part_has_what_overlaps_it_and_begins_at_zero() {
        let seconds = Duration::from_secs;
        let mut lane = Lane::new("a");
        lane.span(seconds(0), seconds(5), Kind::Master, "master");
        lane.span(seconds(5), seconds(9), Kind::Backup, "backup");
        lane.tick(seconds(1), TickKind::Advert, "one");
        lane.tick(seconds(4), TickKind::Advert, "four");
        let whole = Timeline {
            length: seconds(9),
            lanes: vec![lane],
            bounds: vec![Bound {
                from: seconds(3),
                to: seconds(6),
                text: "down".to_owned(),
            }],
            ..Timeline::default()
        };
        let part = whole.part(seconds(2), seconds(5));
        assert_eq!(part.length, seconds(3));
        let lane = &part.lanes[0];
        assert_eq!(lane.spans.len(), 1);
        assert_eq!(
            (lane.spans[0].from, lane.spans[0].to),
            (seconds(0), seconds(3))
        );
        assert_eq!(lane.ticks.len(), 1);
        assert_eq!(lane.ticks[0].at, seconds(2));
        assert_eq!(
            (part.bounds[0].from, part.bounds[0].to),
            (seconds(1), seconds(4)),
            "it ends beyond the part"
        );
    }
}
