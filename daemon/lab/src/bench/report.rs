//! What was measured, as a table for people and as JSON, and whether it is as demanded.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use super::stats::Summary;

/// Two measurements of the same thing differ by about so much on a machine that does other work.
const NOISE: f64 = 1.1;

/// Where a bound is set in figures, in the unit of the row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Demand {
    /// For information.
    None,
    /// The median is not above keepalived's.
    Peer,
    /// The median is at most this, and not above keepalived's.
    AtMostAndPeer(f64),
}

/// One line of the table: the same thing of both daemons.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) section: String,
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) vrrpd: Option<Summary>,
    pub(crate) keepalived: Option<Summary>,
    pub(crate) demand: Demand,
}

impl Row {
    /// The median of ours over theirs.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let (ours, theirs) = (self.vrrpd?.median, self.keepalived?.median);
        (theirs > 0.0).then(|| ours / theirs)
    }

    /// Whether the demand is met; none when there is none, or nothing to judge by.
    pub(crate) fn is_met(&self) -> Option<bool> {
        let ours = self.vrrpd?.median;
        let peer = self.keepalived.map(|theirs| ours <= theirs.median * NOISE);
        match self.demand {
            Demand::None => None,
            Demand::Peer => peer,
            Demand::AtMostAndPeer(bound) => Some(ours <= bound && peer.unwrap_or(true)),
        }
    }
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    /// What could not be measured, and why.
    pub(crate) missing: Vec<String>,
}

impl Report {
    /// Whether every demand is met that could be judged, and everything was measured.
    pub(crate) fn is_met(&self) -> bool {
        self.missing.is_empty() && self.rows.iter().all(|row| row.is_met() != Some(false))
    }

    pub(crate) fn json(&self) -> Value {
        let summary = |summary: Option<Summary>| {
            summary.map(
                |s| json!({ "samples": s.count, "median": s.median, "p99": s.p99, "max": s.max }),
            )
        };
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                json!({
                    "section": row.section, "what": row.what, "unit": row.unit,
                    "vrrpd": summary(row.vrrpd), "keepalived": summary(row.keepalived),
                    "ratio": row.ratio(), "met": row.is_met(),
                })
            })
            .collect();
        json!({ "rows": rows, "missing": self.missing, "met": self.is_met() })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut section = "";
        for row in &self.rows {
            if row.section != section {
                section = &row.section;
                writeln!(f, "\n{section}")?;
                writeln!(
                    f,
                    "  {:<38} {:>7}  {:^26}  {:^26} {:>6}",
                    "", "", "vrrpd", "keepalived", "ratio"
                )?;
                writeln!(
                    f,
                    "  {:<38} {:>7}  {:>8} {:>8} {:>8}  {:>8} {:>8} {:>8}",
                    "", "unit", "median", "p99", "max", "median", "p99", "max"
                )?;
            }
            let verdict = match row.is_met() {
                None => "",
                Some(true) => "ok",
                Some(false) => "NOT MET",
            };
            let ratio = row
                .ratio()
                .map_or_else(String::new, |ratio| format!("{ratio:.2}"));
            let line = format!(
                "  {:<38} {:>7}  {}  {} {ratio:>6}  {verdict}",
                row.what,
                row.unit,
                figures(row.vrrpd),
                figures(row.keepalived)
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        for missing in &self.missing {
            writeln!(f, "\nnot measured: {missing}")?;
        }
        Ok(())
    }
}

/// Three columns; of a single sample only the first, of none a dash.
fn figures(summary: Option<Summary>) -> String {
    let Some(Summary {
        count,
        median,
        p99,
        max,
    }) = summary
    else {
        return format!("{:>8} {:>8} {:>8}", "-", "", "");
    };
    let mut text = figure(median);
    for more in [p99, max] {
        let shown = if count > 1 {
            figure(more)
        } else {
            " ".repeat(8)
        };
        // Writing to a string does not fail.
        let _ = write!(text, " {shown}");
    }
    text
}

fn figure(value: f64) -> String {
    let decimals = usize::from(value.abs() < 100.0);
    format!("{value:>8.decimals$}")
}
