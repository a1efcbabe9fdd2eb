//! Report of the measurements, as a table or JSON, and the verdict on the requirements.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use super::stats::Summary;

/// Allowed ratio: two measurements of the same thing differ by about 10 % on a machine with other
/// load.
const NOISE: f64 = 1.1;

/// Requirement on a row; limits are in the unit of the row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Demand {
    /// No requirement, for information.
    None,
    /// The median is not above keepalived's, plus the allowance for noise.
    Peer,
    /// The median is at most this limit, and not above keepalived's.
    AtMostAndPeer(f64),
}

/// One row of the table: one measurement of both daemons.
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
    /// Ratio of the medians, vrrpd over keepalived.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let (ours, theirs) = (self.vrrpd?.median, self.keepalived?.median);
        (theirs > 0.0).then(|| ours / theirs)
    }

    /// Whether the requirement is met; `None` without a requirement or without data.
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

/// All measurements of a run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    /// Failed measurements, each with the reason.
    pub(crate) missing: Vec<String>,
}

impl Report {
    /// Whether every requirement with data is met, and everything was measured.
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

/// Formats three columns; of a single sample only the first, without samples a dash.
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
