//! From results to verdicts to priorities.
//!
//! A tracker counts results in a row until they make a verdict; a router that follows trackers
//! adds up what their verdicts do to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::params::{Effect, Track, TrackerKind, TrackerParams};
use crate::types::Priority;

/// One tracked thing.
#[derive(Debug)]
pub(crate) struct Tracker {
    pub(crate) params: TrackerParams,
    /// The verdict; `None` before the first one, which counts as well: a service that has not been
    /// looked at is no reason to refuse it.
    verdict: Option<bool>,
    /// How many results in a row contradict the verdict.
    streak: u32,
    /// What it said last.
    pub(crate) detail: Arc<str>,
    /// How many results came in, and how many of them bad.
    pub(crate) results: u64,
    pub(crate) failures: u64,
}

impl Tracker {
    pub(crate) fn new(params: TrackerParams) -> Self {
        Self {
            params,
            verdict: None,
            streak: 0,
            detail: Arc::from(""),
            results: 0,
            failures: 0,
        }
    }

    /// Takes over `params` when they watch the same thing in the same way: the verdict stays.
    pub(crate) fn with_params(self, params: &TrackerParams) -> Option<Self> {
        let same = match (&self.params.kind, &params.kind) {
            (TrackerKind::Interface { name: a }, TrackerKind::Interface { name: b })
            | (
                TrackerKind::Probe { definition: a, .. },
                TrackerKind::Probe { definition: b, .. },
            ) => a == b,
            (TrackerKind::Interface { .. }, TrackerKind::Probe { .. })
            | (TrackerKind::Probe { .. }, TrackerKind::Interface { .. }) => false,
        };
        same.then(|| Self {
            params: params.clone(),
            ..self
        })
    }

    /// Whether the thing is well, as far as is known.
    pub(crate) fn is_well(&self) -> bool {
        self.verdict.unwrap_or(true)
    }

    /// Whether there is a verdict yet.
    pub(crate) const fn is_known(&self) -> bool {
        self.verdict.is_some()
    }

    /// Takes note of how the thing is, where that is known and not sampled: no row of results is
    /// needed for the verdict. Repeating it changes nothing.
    pub(crate) fn observe(&mut self, well: bool, detail: Arc<str>) -> bool {
        if self.verdict == Some(well) && self.detail == detail {
            return false;
        }
        let before = self.is_well();
        self.detail = detail;
        self.results += 1;
        self.failures += u64::from(!well);
        self.verdict = Some(well);
        well != before
    }

    /// Counts a result. Returns whether the verdict, as far as it is known, changed by it.
    pub(crate) fn handle_result(&mut self, well: bool, detail: Arc<str>) -> bool {
        let before = self.is_well();
        self.detail = detail;
        self.results += 1;
        self.failures += u64::from(!well);
        if well == before {
            self.streak = 0;
            self.verdict = Some(before);
            return false;
        }
        self.streak += 1;
        let needed = if well {
            self.params.rise
        } else {
            self.params.fall
        };
        if self.streak < needed {
            return false;
        }
        self.streak = 0;
        self.verdict = Some(well);
        true
    }
}

/// What a router's trackers do to it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Influence {
    /// The effective priority.
    pub(crate) priority: Priority,
    /// The first tracker that is down and followed without a weight.
    pub(crate) fault: Option<Arc<str>>,
}

/// Adds up what `tracks` do to a router of priority `configured`. The owner's priority stays 255
/// whatever its weights say: there is no other it could have.
pub(crate) fn influence(
    configured: Priority,
    tracks: &[Track],
    trackers: &BTreeMap<Arc<str>, Tracker>,
) -> Influence {
    let mut sum = i32::from(configured.get());
    let mut fault = None;
    for track in tracks {
        let well = trackers.get(&track.tracker).is_none_or(Tracker::is_well);
        match track.effect {
            Effect::Fault if !well && fault.is_none() => fault = Some(Arc::clone(&track.tracker)),
            Effect::Fault => {}
            Effect::Weight(weight) => sum += i32::from(contribution(weight, well)),
        }
    }
    // RFC 9568 5.2.4 MUST: the owner's priority is 255
    // RFC 9568 5.2.4 MUST: priorities of backups are 1 to 254
    let priority = if configured.is_owner() {
        configured
    } else {
        let clamped = sum.clamp(1, i32::from(Priority::MAX_BACKUP.get()));
        u8::try_from(clamped)
            .ok()
            .and_then(Priority::new)
            .unwrap_or(configured)
    };
    Influence { priority, fault }
}

/// What a tracker of this weight adds to the priority.
pub(crate) const fn contribution(weight: i16, well: bool) -> i16 {
    match (well, weight.is_negative()) {
        (true, false) | (false, true) => weight,
        (true, true) | (false, false) => 0,
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn tracker(rise: u32, fall: u32) -> Tracker {
        Tracker::new(TrackerParams {
            kind: TrackerKind::Probe {
                definition: "".into(),
                interval: Duration::from_secs(1),
            },
            rise,
            fall,
        })
    }

    fn feed(tracker: &mut Tracker, results: &str) -> String {
        results
            .chars()
            .map(|result| {
                let changed = tracker.handle_result(result == '+', "".into());
                match (changed, tracker.is_well()) {
                    (false, _) => '.',
                    (true, true) => 'U',
                    (true, false) => 'D',
                }
            })
            .collect()
    }

    #[test]
    fn results_in_a_row_make_a_verdict() {
        assert_eq!(feed(&mut tracker(1, 1), "-+-"), "DUD");
        assert_eq!(feed(&mut tracker(2, 3), "--+---+-++"), ".....D...U");
    }

    #[test]
    fn a_tracker_without_a_result_counts_as_well() {
        let mut tracker = tracker(3, 2);
        assert!(tracker.is_well() && !tracker.is_known());
        assert_eq!(feed(&mut tracker, "-"), ".", "one failure of two");
        assert!(!tracker.is_known());
        assert_eq!(feed(&mut tracker, "-"), "D");
        assert!(tracker.is_known());
    }

    #[test]
    fn what_is_observed_is_the_verdict_at_once_and_counts_when_it_is_new() {
        let mut tracker = tracker(3, 3);
        let mut observe = |well, detail: &str| {
            let changed = tracker.observe(well, detail.into());
            assert!(tracker.is_known());
            assert_eq!((tracker.is_well(), &*tracker.detail), (well, detail));
            (changed, tracker.results, tracker.failures)
        };
        assert_eq!(observe(true, "up"), (false, 1, 0), "as was assumed");
        assert_eq!(observe(true, "up"), (false, 1, 0), "no news");
        assert_eq!(observe(true, "up again"), (false, 2, 0));
        assert_eq!(observe(false, "up again"), (true, 3, 1));
        assert_eq!(observe(false, "down"), (false, 4, 2));
        assert_eq!(observe(true, "down"), (true, 5, 2));
    }

    fn influence_of(configured: u8, tracks: &[(&str, bool, Effect)]) -> (u8, Option<String>) {
        let mut trackers = BTreeMap::new();
        let mut followed = Vec::new();
        for (name, well, effect) in tracks {
            let mut tracker = tracker(1, 1);
            tracker.handle_result(*well, "".into());
            trackers.insert(Arc::from(*name), tracker);
            followed.push(Track {
                tracker: Arc::from(*name),
                effect: *effect,
            });
        }
        let influence = influence(Priority::new(configured).unwrap(), &followed, &trackers);
        (
            influence.priority.get(),
            influence.fault.map(|name| name.to_string()),
        )
    }

    // RFC 9568 5.2.4 MUST: the owner's priority is 255
    // RFC 9568 5.2.4 MUST: priorities of backups are 1 to 254
    #[test]
    fn weights_add_up_within_what_a_backup_may_have() {
        use Effect::Weight;
        assert_eq!(
            influence_of(100, &[("a", false, Weight(-30)), ("b", true, Weight(5))]).0,
            75
        );
        assert_eq!(
            influence_of(100, &[("a", true, Weight(-30)), ("b", false, Weight(5))]).0,
            100
        );
        assert_eq!(influence_of(100, &[("a", false, Weight(-253))]).0, 1);
        assert_eq!(influence_of(200, &[("a", true, Weight(253))]).0, 254);
        assert_eq!(
            influence_of(255, &[("a", false, Weight(-30))]).0,
            255,
            "the owner's stays"
        );
    }

    #[test]
    fn without_a_weight_down_means_fault() {
        let tracks = [("a", true, Effect::Fault), ("b", false, Effect::Fault)];
        assert_eq!(influence_of(100, &tracks), (100, Some("b".to_owned())));
    }
}
