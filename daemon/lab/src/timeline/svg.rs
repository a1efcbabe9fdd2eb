//! Drawing of a timeline as SVG. Colours are classes of the page's style sheet, which has a light and a dark
//! mode. Bars have a text as well as a colour, and every mark has a tooltip.

use std::fmt::Write as _;
use std::time::Duration;

use super::page::escape;
use super::{Bound, Kind, Lane, TickKind, Timeline};

const WIDTH: f64 = 1100.0;
/// Width of the column with the labels, and the margin on the right.
const LABELS: f64 = 210.0;
const MARGIN: f64 = 20.0;
/// Right end of the axis.
const RIGHT: f64 = WIDTH - MARGIN;
const LANE: f64 = 36.0;
const BAR: f64 = 20.0;
/// Height of a row of dimension lines or of texts of moments.
const ROW: f64 = 20.0;
const AXIS: f64 = 34.0;
/// Width of a character of the font, approximately, to see what fits.
const CHARACTER: f64 = 6.7;
/// Marks closer than this to the one before are drawn as one.
const CLOSEST: f64 = 0.7;

pub(super) fn draw(timeline: &Timeline) -> String {
    let scale = Scale::new(timeline.length);
    let moments: Vec<_> = timeline
        .moments
        .iter()
        .map(|moment| Label::at(&scale, moment.at, &moment.text))
        .collect();
    let bounds: Vec<_> = timeline
        .bounds
        .iter()
        .map(|bound| Label::over(&scale, bound))
        .collect();
    let (moment_rows, moment_height) = rows(&moments);
    let (bound_rows, bound_height) = rows(&bounds);
    let lanes_at = moment_height + bound_height + 6.0;
    let axis_at = lanes_at + LANE * count(timeline.lanes.len());
    let height = axis_at + AXIS;
    let mut out = format!(
        "<svg class=\"timeline\" role=\"img\" viewBox=\"0 0 {WIDTH} {height:.0}\" xmlns=\"http://www.w3.org/2000/svg\">\n\
         <title>{}</title>\n<desc>{}</desc>\n",
        escape(&timeline.title),
        escape(&timeline.description)
    );
    draw_axis(&mut out, &scale, timeline, lanes_at, axis_at);
    for ((bound, label), row) in timeline.bounds.iter().zip(&bounds).zip(&bound_rows) {
        let y = moment_height + ROW * count(*row) + 14.0;
        draw_bound(&mut out, &scale, bound, label, (y, axis_at));
    }
    for (index, lane) in timeline.lanes.iter().enumerate() {
        draw_lane(&mut out, &scale, lane, lanes_at + LANE * count(index));
    }
    for ((moment, label), row) in timeline.moments.iter().zip(&moments).zip(&moment_rows) {
        let x = scale.x(moment.at);
        let y = ROW * count(*row) + 14.0;
        let _ = writeln!(
            out,
            "<line class=\"moment\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{axis_at:.1}\"/>\
             <text class=\"moment\" x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
            y + 4.0,
            label.from,
            escape(&moment.text)
        );
    }
    out.push_str("</svg>\n");
    out
}

fn draw_axis(out: &mut String, scale: &Scale, timeline: &Timeline, top: f64, at: f64) {
    let step = step(timeline.length);
    let mut time = Duration::ZERO;
    while time <= timeline.length {
        let x = scale.x(time);
        let _ = writeln!(
            out,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"axis\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            at + 16.0,
            axis_text(time, step)
        );
        time += step;
    }
    if let Some(origin) = &timeline.origin {
        let _ = writeln!(
            out,
            "<text class=\"axis\" x=\"0\" y=\"{:.1}\">0 s = {}</text>",
            at + 16.0,
            escape(origin)
        );
    }
}

fn draw_lane(out: &mut String, scale: &Scale, lane: &Lane, top: f64) {
    let bar = top + (LANE - BAR) / 2.0;
    let middle = top + LANE / 2.0;
    let _ = writeln!(
        out,
        "<text class=\"label\" x=\"0\" y=\"{:.1}\">{}</text>\
         <line class=\"lane\" x1=\"{LABELS}\" x2=\"{:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\"/>",
        middle + 4.0,
        escape(&lane.label),
        RIGHT,
    );
    for span in &lane.spans {
        let (from, to) = (scale.x(span.from), scale.x(span.to));
        let width = (to - from).max(1.0);
        let _ = write!(
            out,
            "<g><title>{}: {} to {}</title><rect class=\"{}\" x=\"{from:.1}\" y=\"{bar:.1}\" width=\"{width:.1}\" \
             height=\"{BAR}\" rx=\"3\"/>",
            escape(&span.text),
            seconds(span.from),
            seconds(span.to),
            class(span.kind)
        );
        if width > CHARACTER * count(span.text.chars().count()) + 8.0 {
            let _ = write!(
                out,
                "<text class=\"bar\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                from + 5.0,
                bar + BAR / 2.0 + 4.0,
                escape(&span.text)
            );
        }
        out.push_str("</g>\n");
    }
    let mut before: Option<(f64, TickKind)> = None;
    for tick in &lane.ticks {
        let x = scale.x(tick.at);
        if before.is_some_and(|(other, kind)| kind == tick.kind && x - other < CLOSEST) {
            continue;
        }
        before = Some((x, tick.kind));
        let shape = match tick.kind {
            TickKind::Advert => format!(
                "<line class=\"advert\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
                bar + BAR + 1.0,
                bar + BAR + 7.0
            ),
            TickKind::Final => format!(
                "<path class=\"final\" d=\"M{x:.1} {:.1}l5 -8h-10z\"/>",
                bar + BAR + 9.0
            ),
            TickKind::Announcement => format!(
                "<circle class=\"announcement\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3.5\"/>",
                middle
            ),
            TickKind::Claim => format!(
                "<path class=\"claim\" d=\"M{:.1} {:.1}l8 8m0 -8l-8 8\"/>",
                x - 4.0,
                middle - 4.0
            ),
        };
        let _ = writeln!(
            out,
            "<g><title>{}, {}</title>{shape}</g>",
            escape(&tick.text),
            seconds(tick.at)
        );
    }
}

/// Draws a dimension line at the first height, with a tint down to the second. A line without a stroke at its end
/// goes on beyond the axis.
fn draw_bound(
    out: &mut String,
    scale: &Scale,
    bound: &Bound,
    label: &Label,
    (y, bottom): (f64, f64),
) {
    let (from, end) = (scale.x(bound.from), scale.x(bound.to));
    let to = end.min(RIGHT);
    let stroke = if end > RIGHT { "" } else { "m0 -4v8" };
    let _ = writeln!(
        out,
        "<rect class=\"bound\" x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>\
         <path class=\"bound\" d=\"M{from:.1} {:.1}v-8m0 4H{to:.1}{stroke}\"/>\
         <text class=\"bound\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        (to - from).max(1.0),
        bottom - y,
        y + 4.0,
        label.text_at,
        y + 4.0,
        escape(&bound.text)
    );
}

/// Horizontal extent of a text above the lanes.
struct Label {
    from: f64,
    to: f64,
    text_at: f64,
}

impl Label {
    fn at(scale: &Scale, at: Duration, text: &str) -> Self {
        let width = CHARACTER * count(text.chars().count());
        let from = (scale.x(at) + 3.0).min(WIDTH - width);
        Self {
            from,
            to: from + width,
            text_at: from,
        }
    }

    /// A dimension line with its text on the right, or on the left where the right has no room.
    fn over(scale: &Scale, bound: &Bound) -> Self {
        let width = CHARACTER * count(bound.text.chars().count());
        let (from, to) = (scale.x(bound.from), scale.x(bound.to).min(RIGHT));
        if to + 6.0 + width <= WIDTH {
            Self {
                from,
                to: to + 6.0 + width,
                text_at: to + 6.0,
            }
        } else {
            let text_at = (from - 6.0 - width).max(0.0);
            Self {
                from: text_at,
                to,
                text_at,
            }
        }
    }
}

/// Rows in which the labels do not overlap, and their height.
fn rows(labels: &[Label]) -> (Vec<usize>, f64) {
    let mut ends: Vec<Vec<(f64, f64)>> = Vec::new();
    let rows: Vec<usize> = labels
        .iter()
        .map(|label| {
            let is_free = |taken: &Vec<(f64, f64)>| {
                taken
                    .iter()
                    .all(|(from, to)| label.to < *from || label.from > *to + 8.0)
            };
            let row = ends.iter().position(is_free).unwrap_or(ends.len());
            if row == ends.len() {
                ends.push(Vec::new());
            }
            ends[row].push((label.from, label.to));
            row
        })
        .collect();
    (rows, ROW * count(ends.len()))
}

struct Scale {
    per_second: f64,
}

impl Scale {
    fn new(length: Duration) -> Self {
        let length = length.as_secs_f64().max(1e-6);
        Self {
            per_second: (RIGHT - LABELS) / length,
        }
    }

    fn x(&self, at: Duration) -> f64 {
        LABELS + at.as_secs_f64() * self.per_second
    }
}

/// Distance of the lines of the grid: 1, 2 or 5 times a power of ten, or of minutes and hours, for at most twelve
/// lines.
fn step(length: Duration) -> Duration {
    const STEPS: [u64; 28] = [
        1,
        2,
        5,
        10,
        20,
        50,
        100,
        200,
        500,
        1_000,
        2_000,
        5_000,
        10_000,
        30_000,
        60_000,
        120_000,
        300_000,
        600_000,
        1_800_000,
        3_600_000,
        7_200_000,
        21_600_000,
        43_200_000,
        86_400_000,
        172_800_000,
        432_000_000,
        864_000_000,
        8_640_000_000,
    ];
    let millis = STEPS
        .into_iter()
        .find(|step| u128::from(*step) * 12 >= length.as_millis());
    // A length beyond all steps gets a grid of at most twelve lines, too.
    millis.map_or(length / 10, Duration::from_millis)
}

fn axis_text(time: Duration, step: Duration) -> String {
    let seconds = time.as_secs();
    match step.as_millis() {
        0..100 => format!("{} ms", time.as_millis()),
        100..1_000 => format!("{:.1} s", time.as_secs_f64()),
        1_000..60_000 => format!("{seconds} s"),
        60_000..3_600_000 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

const fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Master => "master",
        Kind::Backup => "backup",
        Kind::Fault => "fault",
        Kind::Off => "off",
        Kind::Good => "good",
        Kind::Bad => "bad",
    }
}

/// A count as a coordinate. Drawings have far fewer elements than the type can count exactly.
fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::super::{Moment, Tick};
    use super::*;

    #[test]
    fn drawing_is_well_formed_and_has_names() {
        let mut lane = Lane::new("<a> & \"b\"");
        lane.span(
            Duration::ZERO,
            Duration::from_secs(1),
            Kind::Master,
            "master",
        );
        for kind in [
            TickKind::Advert,
            TickKind::Final,
            TickKind::Announcement,
            TickKind::Claim,
        ] {
            lane.ticks.push(Tick {
                at: Duration::from_millis(500),
                kind,
                text: "<tick>".to_owned(),
            });
        }
        let timeline = Timeline {
            title: "<title>".to_owned(),
            description: "a & b".to_owned(),
            origin: Some("12:00".to_owned()),
            length: Duration::from_secs(2),
            lanes: vec![lane],
            bounds: vec![Bound {
                from: Duration::ZERO,
                to: Duration::from_secs(2),
                text: "3 x 1 s < 4 s".to_owned(),
            }],
            moments: vec![Moment {
                at: Duration::from_secs(1),
                text: "1 & 2".to_owned(),
            }],
        };
        let svg = timeline.svg();
        let document = roxmltree::Document::parse(&svg).unwrap();
        let root = document.root_element();
        let names: Vec<_> = root
            .children()
            .filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "title")))
            .filter_map(|node| node.text())
            .collect();
        assert_eq!(names, ["<title>"]);
        let all = document.descendants().filter(|node| node.is_text());
        let text: String = all.filter_map(|node| node.text()).collect();
        assert!(
            text.contains("<tick>") && text.contains("3 x 1 s < 4 s"),
            "{text}"
        );
    }

    #[test]
    fn grid_has_at_most_twelve_steps() {
        for seconds in [
            0,
            1,
            7,
            59,
            61,
            3_599,
            86_400,
            31_536_000,
            u64::from(u32::MAX),
        ] {
            let length = Duration::from_secs(seconds);
            assert!(
                step(length).as_nanos() * 12 >= length.as_nanos(),
                "{length:?}"
            );
            assert!(!step(length).is_zero());
        }
    }
}
