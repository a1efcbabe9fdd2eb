//! Results of the attacks: a table, or JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Outcome;

pub(crate) fn text(outcomes: &[Outcome], missing: &[String]) -> String {
    let mut text = format!(
        "\n{:<30} {:<6} {:<10} {:>9} {:>6} {:>9} {:>5} {:>8} {:>8} {:>6} {:>6} {:>10} {:>6}\n",
        "attack",
        "at",
        "daemon",
        "a second",
        "trans-",
        "latest",
        "late",
        "RSS",
        "PSS",
        "log",
        "CPU",
        "packets",
        "stall"
    );
    let _ = writeln!(
        text,
        "{:<30} {:<6} {:<10} {:>9} {:>6} {:>9} {:>5} {:>8} {:>8} {:>6} {:>6} {:>10} {:>6}",
        "", "", "", "", "itions", "advert ms", "", "+KiB", "+KiB", "lines", "%", "lost", "ms"
    );
    let mut last = None;
    for outcome in outcomes {
        let name = (outcome.attack, outcome.at);
        if last.is_some_and(|last| last != name) {
            text.push('\n');
        }
        last = Some(name);
        let _ = writeln!(
            text,
            "{:<30} {:<6} {:<10} {:>9.0} {:>6} {:>9.1} {:>5} {:>8} {:>8} {:>6} {:>6.1} {:>10} {:>6}  {}",
            outcome.attack,
            outcome.at,
            outcome.kind,
            outcome.rate,
            outcome.transitions,
            outcome.latest.as_secs_f64() * 1e3,
            outcome.late,
            outcome.rss,
            outcome.pss,
            outcome.lines,
            outcome.cpu * 100.0,
            outcome.lost,
            outcome.standstill.as_millis(),
            verdict(outcome),
        );
    }
    let excused: usize = outcomes.iter().map(|outcome| outcome.excused).sum();
    if excused > 0 {
        let _ = writeln!(
            text,
            "\n{excused} late advertisements are not counted: the machine stalled."
        );
    }
    for missing in missing {
        let _ = writeln!(text, "\nnot measured: {missing}");
    }
    text
}

pub(crate) fn json(outcomes: &[Outcome], missing: &[String]) -> Value {
    let rows: Vec<Value> = outcomes
        .iter()
        .map(|outcome| {
            json!({
                "attack": outcome.attack.to_string(), "at": outcome.at.to_string(),
                "daemon": outcome.kind.to_string(), "packetsPerSecond": outcome.rate,
                "transitions": outcome.transitions, "advertsOfBackup": outcome.usurped,
                "latestAdvertMs": outcome.latest.as_secs_f64() * 1e3, "late": outcome.late,
                "excused": outcome.excused, "rssGrowthKiB": outcome.rss,
                "pssGrowthKiB": outcome.pss, "logLines": outcome.lines, "cpu": outcome.cpu,
                "lost": outcome.lost, "standstillMs": outcome.standstill.as_secs_f64() * 1e3,
                "problems": outcome.problems(),
            })
        })
        .collect();
    json!({ "rows": rows, "missing": missing })
}

fn verdict(outcome: &Outcome) -> String {
    let problems = outcome.problems();
    if problems.is_empty() {
        "ok".to_owned()
    } else {
        format!("NOT MET: {}", problems.join(", "))
    }
}
