//! Trackers: from results to verdicts, and from verdicts to priorities.
//!
//! A tracker counts results in a row. When enough of them contradict its verdict, a change is
//! pending. The verdict changes as soon as the change has been pending for its delay and the
//! present verdict has lasted for its hold time: at once in the default configuration. A router
//! adds up the contributions of its trackers.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::checkpoint::TrackerCheckpoint;
use crate::params::{Effect, Track, TrackerKind, TrackerParams, Verdict};
use crate::reasons::FaultReason;
use crate::time::Instant;
use crate::types::Priority;

/// Least contribution of a tracker. Less is a fault, as in keepalived.
const LEAST_WORTH: i64 = -253;

/// State of a tracker.
#[derive(Debug)]
pub(crate) struct Tracker {
    pub(crate) params: TrackerParams,
    /// Verdict, or the initial one before the first.
    verdict: Verdict,
    /// Time since when the verdict is known to hold; `None` while it is the initial one.
    since: Option<Instant>,
    /// Last change of the verdict.
    changed_at: Option<Instant>,
    /// Pending change of the verdict.
    opposed: Option<Opposed>,
    /// Number of results in a row that contradict the results before them.
    streak: u32,
    /// Last result in words.
    pub(crate) detail: Arc<str>,
    /// Number of results, and of bad ones among them.
    pub(crate) results: u64,
    pub(crate) failures: u64,
}

/// Pending change of a verdict.
#[derive(Clone, Copy, Debug)]
struct Opposed {
    by: Verdict,
    /// Time since when the results contradict the verdict's up or down.
    since: Instant,
}

impl Tracker {
    pub(crate) fn new(params: TrackerParams) -> Self {
        Self {
            verdict: params.initial,
            params,
            since: None,
            changed_at: None,
            opposed: None,
            streak: 0,
            detail: Arc::from(""),
            results: 0,
            failures: 0,
        }
    }

    /// Applies `params` and keeps the verdict. `None` if they belong to another check.
    pub(crate) fn with_params(self, params: &TrackerParams) -> Option<Self> {
        let same = match (&self.params.kind, &params.kind) {
            (TrackerKind::Interface { name: a }, TrackerKind::Interface { name: b })
            | (TrackerKind::Probe { definition: a }, TrackerKind::Probe { definition: b }) => {
                a == b
            }
            (TrackerKind::Interface { .. }, TrackerKind::Probe { .. })
            | (TrackerKind::Probe { .. }, TrackerKind::Interface { .. }) => false,
        };
        // An initial verdict from other parameters is not a result, so it is not kept.
        let assumes = self.is_known() || self.params.initial == params.initial;
        (same && assumes).then(|| Self {
            params: params.clone(),
            ..self
        })
    }

    /// What the results have shown, for a later process.
    pub(crate) fn save(&self) -> TrackerCheckpoint {
        let told = |verdict: Verdict| (verdict.up, verdict.value);
        TrackerCheckpoint {
            checks: self.params.kind.digest(),
            verdict: told(self.verdict),
            since: self.since,
            changed_at: self.changed_at,
            opposed: self
                .opposed
                .map(|opposed| (told(opposed.by), opposed.since)),
            streak: self.streak,
            detail: Arc::clone(&self.detail),
            results: self.results,
            failures: self.failures,
        }
    }

    /// Continues with what [`save`](Self::save) returned, if it belongs to the same check.
    pub(crate) fn restore(self, saved: &TrackerCheckpoint) -> Self {
        let verdict = |(up, value)| Verdict { up, value };
        // Without a result the verdict is the initial one, which the configuration may have changed.
        let assumes = saved.since.is_some() || verdict(saved.verdict) == self.params.initial;
        if self.params.kind.digest() != saved.checks || !assumes {
            return self;
        }
        Self {
            verdict: verdict(saved.verdict),
            since: saved.since,
            changed_at: saved.changed_at,
            opposed: saved.opposed.map(|(by, since)| Opposed {
                by: verdict(by),
                since,
            }),
            streak: saved.streak,
            detail: Arc::clone(&saved.detail),
            results: saved.results,
            failures: saved.failures,
            params: self.params,
        }
    }

    /// The verdict, or the initial one before the first result.
    pub(crate) const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether the verdict comes from results.
    pub(crate) const fn is_known(&self) -> bool {
        self.since.is_some()
    }

    /// Time since when the verdict holds.
    pub(crate) const fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Records the state of an object that is known and not sampled: `rise` and `fall` do not
    /// apply. Repeating it changes nothing. Returns the former verdict if it changed.
    pub(crate) fn observe(&mut self, now: Instant, up: bool, detail: Arc<str>) -> Option<Verdict> {
        if self.is_known() && self.result().up == up && self.detail == detail {
            return None;
        }
        self.count(up, detail);
        self.take(now, Verdict::of(up))
    }

    /// Counts a result. Returns the former verdict if it changed.
    pub(crate) fn handle_result(
        &mut self,
        now: Instant,
        result: Verdict,
        detail: Arc<str>,
    ) -> Option<Verdict> {
        self.count(result.up, detail);
        let needed = match (result.up, self.result().up) {
            (true, false) => self.params.rise,
            (false, true) => self.params.fall,
            (true, true) | (false, false) => 0,
        };
        if needed == 0 {
            self.streak = 0;
            return self.take(now, result);
        }
        self.streak += 1;
        if self.streak < needed {
            return None;
        }
        self.streak = 0;
        self.take(now, result)
    }

    /// Time of the pending change of the verdict, if results do not contradict it before.
    pub(crate) fn due(&self) -> Option<Instant> {
        let opposed = self.opposed?;
        let delay = match (self.verdict.up, opposed.by.up) {
            // The delays apply to changes; before the first result nothing is known that could
            // change.
            _ if !self.is_known() => Duration::ZERO,
            (false, true) => self.params.up_delay,
            (true, false) => self.params.down_delay,
            (true, true) | (false, false) => Duration::ZERO,
        };
        let held = self
            .changed_at
            .map_or(Instant::ZERO, |at| at + self.params.hold);
        Some(held.max(opposed.since + delay))
    }

    /// Changes the verdict if that is due. Returns the former verdict if it changed.
    pub(crate) fn settle(&mut self, now: Instant) -> Option<Verdict> {
        if self.due()? > now {
            return None;
        }
        let opposed = self.opposed.take()?;
        self.since = Some(now);
        self.changed_at = Some(now);
        Some(core::mem::replace(&mut self.verdict, opposed.by))
    }

    /// Verdict of the results so far: the pending one, or the present one.
    fn result(&self) -> Verdict {
        self.opposed.map_or(self.verdict, |opposed| opposed.by)
    }

    fn count(&mut self, up: bool, detail: Arc<str>) {
        self.detail = detail;
        self.results += 1;
        self.failures += u64::from(!up);
    }

    /// Applies enough results in a row: they confirm the verdict, or make a change pending.
    fn take(&mut self, now: Instant, result: Verdict) -> Option<Verdict> {
        if result == self.verdict {
            self.opposed = None;
            self.since.get_or_insert(now);
            return None;
        }
        let since = match self.opposed {
            Some(opposed) if opposed.by == result => return None,
            // Only the number differs from the pending change: the delay continues.
            Some(opposed) if opposed.by.up == result.up => opposed.since,
            Some(_) | None => now,
        };
        self.opposed = Some(Opposed { by: result, since });
        self.settle(now)
    }
}

/// Effect of all trackers on a router.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Influence {
    /// The effective priority.
    pub(crate) priority: Priority,
    /// Fault reason of the first tracker that puts the router in fault.
    pub(crate) fault: Option<FaultReason>,
}

/// Adds up the contributions of `tracks` for a router of priority `configured`. The owner's
/// priority stays 255 in any case, because the protocol allows the owner no other.
pub(crate) fn influence(
    configured: Priority,
    tracks: &[Track],
    trackers: &BTreeMap<Arc<str>, Tracker>,
) -> Influence {
    let mut sum = i32::from(configured.get());
    let mut fault = None;
    for track in tracks {
        match contribution(track, trackers) {
            Ok(points) => sum += i32::from(points),
            Err(fault_reason) => fault = fault.or(Some(fault_reason)),
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

/// Contribution of a tracker to the priority of a router, or the fault reason if it puts the router
/// in fault.
pub(crate) fn contribution(
    track: &Track,
    trackers: &BTreeMap<Arc<str>, Tracker>,
) -> Result<i16, FaultReason> {
    let tracker = Arc::clone(&track.tracker);
    let verdict = trackers
        .get(&track.tracker)
        // A tracker that does not exist counts as up.
        .map_or(Verdict::UP, Tracker::verdict);
    match (track.effect, verdict.value) {
        (Effect::Fault, _) if !verdict.up => Err(FaultReason::TrackerDown(tracker)),
        (Effect::Fault, None | Some(0)) => Ok(0),
        (Effect::Fault, Some(value)) => Err(FaultReason::TrackerValue {
            tracker,
            value,
            weight: None,
        }),
        (Effect::Weight(weight), None) => Ok(match (verdict.up, weight.is_negative()) {
            (true, false) | (false, true) => weight,
            (true, true) | (false, false) => 0,
        }),
        (Effect::Weight(weight), Some(value)) => {
            match value.saturating_mul(i64::from(weight)) {
                ..LEAST_WORTH => Err(FaultReason::TrackerValue {
                    tracker,
                    value,
                    weight: Some(weight),
                }),
                // Limited, because 253 already raises any priority to the maximum.
                worth => Ok(i16::try_from(worth.min(-LEAST_WORTH)).unwrap_or(0)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Instant = Instant::from_nanos(1_000_000_000_000);

    fn params(rise: u32, fall: u32) -> TrackerParams {
        TrackerParams {
            rise,
            fall,
            ..TrackerParams::new(TrackerKind::Probe {
                definition: "".into(),
            })
        }
    }

    fn tracker(rise: u32, fall: u32) -> Tracker {
        Tracker::new(params(rise, fall))
    }

    fn seconds(seconds: u64) -> Instant {
        T0 + Duration::from_secs(seconds)
    }

    /// Feeds `results` to the tracker, one per second from `from` on: `+` is good, `-` is bad, `.` is a
    /// tick without a result. Returns the changes of the verdict: `U` to up, `D` to down, `.` none.
    fn feed_from(from: u64, tracker: &mut Tracker, results: &str) -> String {
        let changes = (from..).zip(results.chars()).map(|(second, result)| {
            let now = seconds(second);
            let former = match result {
                '.' => tracker.settle(now),
                result => tracker.handle_result(now, Verdict::of(result == '+'), "".into()),
            };
            match (former.is_some(), tracker.verdict().up) {
                (false, _) => '.',
                (true, true) => 'U',
                (true, false) => 'D',
            }
        });
        changes.collect()
    }

    fn feed(tracker: &mut Tracker, results: &str) -> String {
        feed_from(0, tracker, results)
    }

    #[test]
    fn tracker_needs_results_in_a_row_for_a_verdict() {
        assert_eq!(feed(&mut tracker(1, 1), "-+-"), "DUD");
        assert_eq!(feed(&mut tracker(2, 3), "--+---+-++"), ".....D...U");
    }

    #[test]
    fn tracker_without_results_is_up_and_not_known() {
        let mut tracker = tracker(3, 2);
        assert!(tracker.verdict().up && !tracker.is_known());
        assert_eq!(feed(&mut tracker, "-"), ".", "one failure of two");
        assert!(!tracker.is_known());
        assert_eq!(feed(&mut tracker, "-"), "D");
        assert!(tracker.is_known());
    }

    #[test]
    fn tracker_with_initial_down_needs_results_in_a_row() {
        let mut doubted = Tracker::new(TrackerParams {
            initial: Verdict::DOWN,
            up_delay: Duration::from_secs(60),
            ..params(2, 1)
        });
        assert!(!doubted.verdict().up && !doubted.is_known());
        assert_eq!(
            feed(&mut doubted, "++"),
            ".U",
            "no delay before the first verdict"
        );
        assert_eq!(doubted.since(), Some(seconds(1)));
        let mut confirmed = Tracker::new(TrackerParams {
            initial: Verdict::DOWN,
            ..params(1, 1)
        });
        assert_eq!(feed(&mut confirmed, "-"), ".");
        assert_eq!((confirmed.is_known(), confirmed.since()), (true, Some(T0)));
    }

    #[test]
    fn hold_defers_a_verdict_change_until_its_end() {
        let held = || {
            Tracker::new(TrackerParams {
                hold: Duration::from_secs(5),
                ..params(1, 1)
            })
        };
        let mut tracker = held();
        assert_eq!(
            feed(&mut tracker, "-+.."),
            "D...",
            "the first change takes effect at once"
        );
        assert_eq!(tracker.due(), Some(seconds(5)));
        assert_eq!(feed_from(4, &mut tracker, "...."), ".U..");
        assert_eq!(tracker.due(), None);
        // Changes within the hold time have no effect.
        let mut tracker = held();
        assert_eq!(feed(&mut tracker, "-+-+--...."), "D.........");
        assert_eq!(tracker.due(), None, "the results confirm the verdict again");
        assert_eq!(
            feed_from(20, &mut tracker, "+"),
            "U",
            "the hold time is over"
        );
        // A pending change that is contradicted starts again, and the hold time may be over by then.
        let mut tracker = held();
        assert_eq!(feed(&mut tracker, "-+++-+++"), "D....U..");
    }

    #[test]
    fn delays_suppress_a_short_verdict_change() {
        let mut tracker = Tracker::new(TrackerParams {
            up_delay: Duration::from_secs(3),
            down_delay: Duration::from_secs(1),
            ..params(1, 1)
        });
        assert_eq!(
            feed(&mut tracker, "+-+-."),
            "....D",
            "down for the delay of 1 s"
        );
        assert_eq!(
            feed_from(5, &mut tracker, "+.-+..."),
            "......U",
            "up for three seconds in a row"
        );
    }

    #[test]
    fn hold_and_delay_run_in_parallel() {
        let params = |up, hold| TrackerParams {
            up_delay: Duration::from_secs(up),
            hold: Duration::from_secs(hold),
            ..params(1, 1)
        };
        for (up, hold, due) in [(2, 10, 10), (8, 10, 12), (2, 0, 6), (0, 0, 4)] {
            let mut tracker = Tracker::new(params(up, hold));
            assert_eq!(feed(&mut tracker, "-"), "D");
            tracker.handle_result(seconds(4), Verdict::UP, "".into());
            let changed = tracker.since().filter(|_| tracker.verdict().up);
            assert_eq!(changed.or(tracker.due()), Some(seconds(due)), "{up} {hold}");
        }
    }

    #[test]
    fn hold_applies_to_a_changed_number() {
        let mut tracker = Tracker::new(TrackerParams {
            hold: Duration::from_secs(5),
            up_delay: Duration::from_secs(60),
            down_delay: Duration::from_secs(60),
            initial: Verdict::saying(0),
            ..params(1, 1)
        });
        let mut says = |second, value| {
            tracker.handle_result(seconds(second), Verdict::saying(value), "".into());
            tracker.verdict().value
        };
        assert_eq!(
            says(0, 7),
            Some(7),
            "the delays do not apply, it is still up"
        );
        assert_eq!(says(1, 8), Some(7));
        assert_eq!(says(2, 9), Some(7));
        assert_eq!(tracker.due(), Some(seconds(5)));
        assert_eq!(tracker.settle(seconds(5)), Some(Verdict::saying(7)));
        assert_eq!(tracker.verdict(), Verdict::saying(9), "the latest number");
        assert_eq!(tracker.failures, 0);
    }

    #[test]
    fn observed_state_is_the_verdict_at_once() {
        let mut tracker = tracker(3, 3);
        let mut observe = |up, detail: &str| {
            let former = tracker.observe(T0, up, detail.into());
            assert!(tracker.is_known());
            assert_eq!((tracker.verdict().up, &*tracker.detail), (up, detail));
            (former.is_some(), tracker.results, tracker.failures)
        };
        assert_eq!(observe(true, "up"), (false, 1, 0), "as the initial verdict");
        assert_eq!(observe(true, "up"), (false, 1, 0), "repeated");
        assert_eq!(observe(true, "up again"), (false, 2, 0));
        assert_eq!(observe(false, "up again"), (true, 3, 1));
        assert_eq!(observe(false, "down"), (false, 4, 2));
        assert_eq!(observe(true, "down"), (true, 5, 2));
    }

    #[test]
    fn reload_keeps_a_known_verdict_only() {
        let doubting = TrackerParams {
            initial: Verdict::DOWN,
            hold: Duration::from_secs(9),
            ..params(2, 2)
        };
        let fresh = tracker(1, 1);
        assert!(
            fresh.with_params(&doubting).is_none(),
            "its verdict is not from results"
        );
        let mut known = tracker(1, 1);
        feed(&mut known, "-+");
        let mut known = known.with_params(&doubting).unwrap();
        assert_eq!(known.since(), Some(seconds(1)));
        assert_eq!(
            feed_from(2, &mut known, "--"),
            "..",
            "the new rise, fall and hold apply"
        );
        assert_eq!(known.due(), Some(seconds(10)));
        let kind = TrackerKind::Interface {
            name: "eth1".into(),
        };
        assert!(known.with_params(&TrackerParams::new(kind)).is_none());
    }

    /// Effective priority and fault of a router with trackers that reported these verdicts last.
    fn influence_of(configured: u8, tracks: &[(&str, Verdict, Effect)]) -> (u8, Option<String>) {
        let mut trackers = BTreeMap::new();
        let mut followed = Vec::new();
        for (name, verdict, effect) in tracks {
            let mut tracker = tracker(1, 1);
            tracker.handle_result(T0, *verdict, "".into());
            trackers.insert(Arc::from(*name), tracker);
            followed.push(Track {
                tracker: Arc::from(*name),
                effect: *effect,
            });
        }
        let influence = influence(Priority::new(configured).unwrap(), &followed, &trackers);
        (
            influence.priority.get(),
            influence.fault.map(|fault_reason| fault_reason.to_string()),
        )
    }

    const UP: Verdict = Verdict::UP;
    const DOWN: Verdict = Verdict::DOWN;

    // RFC 9568 5.2.4 MUST: the owner's priority is 255
    // RFC 9568 5.2.4 MUST: priorities of backups are 1 to 254
    #[test]
    fn tracker_weights_add_up_within_1_to_254() {
        use Effect::Weight;
        assert_eq!(
            influence_of(100, &[("a", DOWN, Weight(-30)), ("b", UP, Weight(5))]).0,
            75
        );
        assert_eq!(
            influence_of(100, &[("a", UP, Weight(-30)), ("b", DOWN, Weight(5))]).0,
            100
        );
        assert_eq!(influence_of(100, &[("a", DOWN, Weight(-253))]).0, 1);
        assert_eq!(influence_of(200, &[("a", UP, Weight(253))]).0, 254);
        assert_eq!(
            influence_of(255, &[("a", DOWN, Weight(-30))]).0,
            255,
            "the owner's priority stays"
        );
    }

    #[test]
    fn tracker_without_weight_that_is_down_is_a_fault() {
        let tracks = [("a", UP, Effect::Fault), ("b", DOWN, Effect::Fault)];
        let down = "tracker b is down".to_owned();
        assert_eq!(influence_of(100, &tracks), (100, Some(down)));
    }

    #[test]
    fn weighted_tracker_number_below_minus_253_is_a_fault() {
        let says = |value, weight| {
            influence_of(
                100,
                &[("a", Verdict::saying(value), Effect::Weight(weight))],
            )
        };
        assert_eq!(says(20, 1), (120, None));
        assert_eq!(says(-20, 2), (60, None));
        assert_eq!(says(-20, -2), (140, None));
        assert_eq!(says(0, -100), (100, None));
        assert_eq!(says(-253, 1), (1, None), "-253 is no fault");
        let fault = "tracker a reports -254: multiplied by weight 1 this is below -253".to_owned();
        assert_eq!(says(-254, 1), (100, Some(fault)));
        assert_eq!(
            says(i64::MIN, -1),
            (254, None),
            "the multiplication does not overflow"
        );
        assert!(says(i64::MIN, 1).1.is_some());
        // Without a number the weight itself counts.
        let silent = |weight| influence_of(100, &[("a", DOWN, Effect::Weight(weight))]);
        assert_eq!((silent(-7), silent(7)), ((93, None), (100, None)));
    }

    #[test]
    fn nonzero_tracker_number_without_weight_is_a_fault() {
        let says = |value| influence_of(100, &[("a", Verdict::saying(value), Effect::Fault)]).1;
        assert_eq!(says(0), None);
        let fault = "tracker a reports 1: without a weight every value but 0 is a fault";
        assert_eq!(says(1).as_deref(), Some(fault));
        assert!(says(-1).is_some());
    }
}
