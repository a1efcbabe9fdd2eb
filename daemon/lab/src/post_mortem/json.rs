//! The result as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::analysis::{Analysis, Ended, Finding, Reason, Reign, Router, VirtualRouter, What};
use super::file::FileFacts;
use super::stamp::Stamp;
use super::words;

pub(crate) fn render(facts: &FileFacts, analysis: &Analysis) -> Value {
    let begin = analysis.begin;
    let routers = analysis.virtual_routers.iter();
    json!({
        "format": facts.format,
        "packets": facts.packets,
        "begin": time(begin),
        "end": time(analysis.end),
        "damaged": facts.broken,
        "isCut": facts.is_cut,
        "isGood": !analysis.has_problem(),
        "virtualRouters": routers.map(|router| virtual_router(router, begin)).collect::<Vec<_>>(),
        "others": analysis.others.iter().map(|other| finding(other, begin)).collect::<Vec<_>>(),
    })
}

fn virtual_router(router: &VirtualRouter, begin: Stamp) -> Value {
    let of = |reign: &Reign| self::reign(reign, begin);
    json!({
        "vrid": router.key.vrid.get(),
        "family": router.key.family.to_string(),
        "vlans": router.key.network.vlans,
        "interface": router.key.network.interface,
        "addresses": texts(&router.addresses),
        "routers": router.routers.iter().map(self::router).collect::<Vec<_>>(),
        "masters": router.reigns.iter().map(of).collect::<Vec<_>>(),
        "findings": router.findings.iter().map(|found| finding(found, begin)).collect::<Vec<_>>(),
    })
}

fn router(router: &Router) -> Value {
    let intervals = router
        .intervals
        .iter()
        .map(|interval| millis(interval.duration()));
    json!({
        "address": router.address,
        "macs": texts(&router.macs),
        "priorities": router.priorities,
        "versions": router.versions.iter().map(|version| version.number()).collect::<Vec<_>>(),
        "intervalsMs": intervals.collect::<Vec<_>>(),
        "authentication": texts(&router.auths),
        "isUnicast": router.is_unicast,
        "advertisements": router.adverts,
        "largestGapMs": router.gap.map(|gap| millis(gap.length)),
    })
}

fn reign(reign: &Reign, begin: Stamp) -> Value {
    let reason = match reign.reason {
        Reason::Present => "present",
        Reason::First => "first",
        Reason::Resigned { .. } => "resigned",
        Reason::Silence { .. } => "silence",
        Reason::Early { .. } => "early",
        Reason::Preempted { .. } if reign.priority == u8::MAX => "owner",
        Reason::Preempted { .. } => "preempted",
        Reason::GreaterAddress { .. } => "greaterAddress",
        Reason::Unheard { .. } => "unheard",
        Reason::Returned { .. } => "returned",
    };
    let end = match reign.ended {
        Ended::Resigned(_) => "resigned",
        Ended::Superseded(_) => "superseded",
        Ended::Silent => "silent",
        Ended::Continues => "continues",
    };
    json!({
        "router": reign.router,
        "priority": reign.priority,
        "from": time(reign.first()),
        "fromSeconds": reign.first().since(begin).as_secs_f64(),
        "to": time(reign.to()),
        "toSeconds": reign.to().since(begin).as_secs_f64(),
        "advertisements": reign.adverts.len(),
        "reason": reason,
        "end": end,
        "text": words::beginning(reign),
    })
}

fn finding(finding: &Finding, begin: Stamp) -> Value {
    let mut value = json!({
        "kind": finding.what.word(),
        "isProblem": finding.what.is_problem(),
        "at": finding.at.map(time),
        "atSeconds": finding.at.map(|at| at.since(begin).as_secs_f64()),
        "text": words::finding(&finding.what),
    });
    if let What::TwoMasters { from, to, .. } | What::NoMaster { from, to, .. } = finding.what {
        value["durationMs"] = millis(to.since(from)).into();
    }
    value
}

fn texts<T: ToString>(values: impl IntoIterator<Item = T>) -> Vec<String> {
    values.into_iter().map(|value| value.to_string()).collect()
}

/// RFC 3339.
fn time(stamp: Stamp) -> String {
    format!("{}Z", stamp.to_string().replace(' ', "T"))
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}
