//! From results to verdicts to priorities.
//!
//! A tracker counts results in a row. When there are enough of them against its verdict it is
//! opposed, and the verdict changes as soon as that has lasted for as long as it has to, and the
//! verdict before it, too: at once, unless the configuration has it otherwise. A router that follows
//! trackers adds up what their verdicts do to it.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::params::{Effect, Track, TrackerKind, TrackerParams, Verdict};
use crate::reasons::FaultReason;
use crate::time::Instant;
use crate::types::Priority;

/// The least that a tracker may be worth. What is worth less is a fault, as with keepalived.
const LEAST_WORTH: i64 = -253;

/// One tracked thing.
#[derive(Debug)]
pub(crate) struct Tracker {
    pub(crate) params: TrackerParams,
    /// The verdict, or what is assumed before the first one.
    verdict: Verdict,
    /// Since when the verdict is such; `None` as long as it is only assumed.
    since: Option<Instant>,
    /// When the verdict changed last.
    changed_at: Option<Instant>,
    /// What speaks against the verdict.
    opposed: Option<Opposed>,
    /// How many results in a row contradict what those before them say.
    streak: u32,
    /// What it said last.
    pub(crate) detail: Arc<str>,
    /// How many results came in, and how many of them bad.
    pub(crate) results: u64,
    pub(crate) failures: u64,
}

/// What results say against a verdict that still stands.
#[derive(Clone, Copy, Debug)]
struct Opposed {
    by: Verdict,
    /// Since when the thing is, or is not, well.
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

    /// Takes over `params` when they watch the same thing in the same way: the verdict stays.
    pub(crate) fn with_params(self, params: &TrackerParams) -> Option<Self> {
        let same = match (&self.params.kind, &params.kind) {
            (TrackerKind::Interface { name: a }, TrackerKind::Interface { name: b })
            | (TrackerKind::Probe { definition: a }, TrackerKind::Probe { definition: b }) => {
                a == b
            }
            (TrackerKind::Interface { .. }, TrackerKind::Probe { .. })
            | (TrackerKind::Probe { .. }, TrackerKind::Interface { .. }) => false,
        };
        // What is assumed is another thing then.
        let assumes = self.is_known() || self.params.initial == params.initial;
        (same && assumes).then(|| Self {
            params: params.clone(),
            ..self
        })
    }

    /// The verdict, as far as is known.
    pub(crate) const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether there is a verdict yet.
    pub(crate) const fn is_known(&self) -> bool {
        self.since.is_some()
    }

    /// Since when the verdict is such.
    pub(crate) const fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Takes note of how the thing is, where that is known and not sampled: no row of results is
    /// needed for the verdict. Repeating it changes nothing. Returns the former verdict if there is
    /// another one now.
    pub(crate) fn observe(&mut self, now: Instant, up: bool, detail: Arc<str>) -> Option<Verdict> {
        if self.is_known() && self.result().up == up && self.detail == detail {
            return None;
        }
        self.count(up, detail);
        self.take(now, Verdict::of(up))
    }

    /// Counts a result. Returns the former verdict if there is another one now.
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

    /// When the verdict changes unless something else is found before.
    pub(crate) fn due(&self) -> Option<Instant> {
        let opposed = self.opposed?;
        let delay = match (self.verdict.up, opposed.by.up) {
            // How it was before anybody looked nobody knows.
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

    /// Changes the verdict if that is due. Returns the former one if there is another one now.
    pub(crate) fn settle(&mut self, now: Instant) -> Option<Verdict> {
        if self.due()? > now {
            return None;
        }
        let opposed = self.opposed.take()?;
        self.since = Some(now);
        self.changed_at = Some(now);
        Some(core::mem::replace(&mut self.verdict, opposed.by))
    }

    /// What the results say, be it the verdict or not.
    fn result(&self) -> Verdict {
        self.opposed.map_or(self.verdict, |opposed| opposed.by)
    }

    fn count(&mut self, up: bool, detail: Arc<str>) {
        self.detail = detail;
        self.results += 1;
        self.failures += u64::from(!up);
    }

    /// Lets results that are enough speak for or against the verdict.
    fn take(&mut self, now: Instant, result: Verdict) -> Option<Verdict> {
        if result == self.verdict {
            self.opposed = None;
            self.since.get_or_insert(now);
            return None;
        }
        let since = match self.opposed {
            Some(opposed) if opposed.by == result => return None,
            Some(opposed) if opposed.by.up == result.up => opposed.since,
            Some(_) | None => now,
        };
        self.opposed = Some(Opposed { by: result, since });
        self.settle(now)
    }
}

/// What a router's trackers do to it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Influence {
    /// The effective priority.
    pub(crate) priority: Priority,
    /// What the first tracker demands that puts the router in fault.
    pub(crate) fault: Option<FaultReason>,
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

/// What a tracker adds to the priority of a router that follows it, or why it puts it in fault.
pub(crate) fn contribution(
    track: &Track,
    trackers: &BTreeMap<Arc<str>, Tracker>,
) -> Result<i16, FaultReason> {
    let tracker = Arc::clone(&track.tracker);
    let verdict = trackers
        .get(&track.tracker)
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
                // More is never needed.
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

    /// What results bring, one a second, beginning at `from`: `+` and `-`, and `.` for none, but a look
    /// at the clock. `U` and `D` are changes of the verdict.
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
    fn results_in_a_row_make_a_verdict() {
        assert_eq!(feed(&mut tracker(1, 1), "-+-"), "DUD");
        assert_eq!(feed(&mut tracker(2, 3), "--+---+-++"), ".....D...U");
    }

    #[test]
    fn a_tracker_without_a_result_counts_as_well() {
        let mut tracker = tracker(3, 2);
        assert!(tracker.verdict().up && !tracker.is_known());
        assert_eq!(feed(&mut tracker, "-"), ".", "one failure of two");
        assert!(!tracker.is_known());
        assert_eq!(feed(&mut tracker, "-"), "D");
        assert!(tracker.is_known());
    }

    #[test]
    fn what_is_assumed_can_be_the_worst_and_results_in_a_row_are_needed_against_it_too() {
        let mut doubted = Tracker::new(TrackerParams {
            initial: Verdict::DOWN,
            up_delay: Duration::from_secs(60),
            ..params(2, 1)
        });
        assert!(!doubted.verdict().up && !doubted.is_known());
        assert_eq!(
            feed(&mut doubted, "++"),
            ".U",
            "no delay before it is known"
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
    fn a_verdict_is_held_and_what_is_still_so_when_that_ends_counts_then() {
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
            "the first one counts at once"
        );
        assert_eq!(tracker.due(), Some(seconds(5)));
        assert_eq!(feed_from(4, &mut tracker, "...."), ".U..");
        assert_eq!(tracker.due(), None);
        // Whatever flickered meanwhile.
        let mut tracker = held();
        assert_eq!(feed(&mut tracker, "-+-+--...."), "D.........");
        assert_eq!(tracker.due(), None, "it is as it was");
        assert_eq!(
            feed_from(20, &mut tracker, "+"),
            "U",
            "it was held long enough"
        );
        // What was taken back begins anew, and the hold may be over by then.
        let mut tracker = held();
        assert_eq!(feed(&mut tracker, "-+++-+++"), "D....U..");
    }

    #[test]
    fn a_change_that_does_not_last_is_none() {
        let mut tracker = Tracker::new(TrackerParams {
            up_delay: Duration::from_secs(3),
            down_delay: Duration::from_secs(1),
            ..params(1, 1)
        });
        assert_eq!(
            feed(&mut tracker, "+-+-."),
            "....D",
            "as long as it is down"
        );
        assert_eq!(
            feed_from(5, &mut tracker, "+.-+..."),
            "......U",
            "three seconds in a row"
        );
    }

    #[test]
    fn hold_and_delay_run_side_by_side() {
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
    fn another_number_is_another_verdict_and_is_held_too() {
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
        assert_eq!(says(0, 7), Some(7), "it is no less well");
        assert_eq!(says(1, 8), Some(7));
        assert_eq!(says(2, 9), Some(7));
        assert_eq!(tracker.due(), Some(seconds(5)));
        assert_eq!(tracker.settle(seconds(5)), Some(Verdict::saying(7)));
        assert_eq!(tracker.verdict(), Verdict::saying(9), "the newest");
        assert_eq!(tracker.failures, 0);
    }

    #[test]
    fn what_is_observed_is_the_verdict_at_once_and_counts_when_it_is_new() {
        let mut tracker = tracker(3, 3);
        let mut observe = |up, detail: &str| {
            let former = tracker.observe(T0, up, detail.into());
            assert!(tracker.is_known());
            assert_eq!((tracker.verdict().up, &*tracker.detail), (up, detail));
            (former.is_some(), tracker.results, tracker.failures)
        };
        assert_eq!(observe(true, "up"), (false, 1, 0), "as was assumed");
        assert_eq!(observe(true, "up"), (false, 1, 0), "no news");
        assert_eq!(observe(true, "up again"), (false, 2, 0));
        assert_eq!(observe(false, "up again"), (true, 3, 1));
        assert_eq!(observe(false, "down"), (false, 4, 2));
        assert_eq!(observe(true, "down"), (true, 5, 2));
    }

    #[test]
    fn a_reload_keeps_what_is_known_and_forgets_what_is_assumed_otherwise() {
        let doubting = TrackerParams {
            initial: Verdict::DOWN,
            hold: Duration::from_secs(9),
            ..params(2, 2)
        };
        let fresh = tracker(1, 1);
        assert!(
            fresh.with_params(&doubting).is_none(),
            "nothing is known of it"
        );
        let mut known = tracker(1, 1);
        feed(&mut known, "-+");
        let mut known = known.with_params(&doubting).unwrap();
        assert_eq!(known.since(), Some(seconds(1)));
        assert_eq!(
            feed_from(2, &mut known, "--"),
            "..",
            "the new counts and the new hold"
        );
        assert_eq!(known.due(), Some(seconds(10)));
        let kind = TrackerKind::Interface {
            name: "eth1".into(),
        };
        assert!(known.with_params(&TrackerParams::new(kind)).is_none());
    }

    /// What trackers that said this last do to a router of this priority.
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
    fn weights_add_up_within_what_a_backup_may_have() {
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
            "the owner's stays"
        );
    }

    #[test]
    fn without_a_weight_down_means_fault() {
        let tracks = [("a", UP, Effect::Fault), ("b", DOWN, Effect::Fault)];
        let down = "tracker b is down".to_owned();
        assert_eq!(influence_of(100, &tracks), (100, Some(down)));
    }

    #[test]
    fn a_number_is_multiplied_by_the_weight_and_too_little_is_a_fault() {
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
        assert_eq!(says(-253, 1), (1, None), "the least that is none");
        let fault = "tracker a says -254, which with weight 1 is below -253".to_owned();
        assert_eq!(says(-254, 1), (100, Some(fault)));
        assert_eq!(
            says(i64::MIN, -1),
            (254, None),
            "it is out of reach of any overflow"
        );
        assert!(says(i64::MIN, 1).1.is_some());
        // Who says no number says less than any.
        let silent = |weight| influence_of(100, &[("a", DOWN, Effect::Weight(weight))]);
        assert_eq!((silent(-7), silent(7)), ((93, None), (100, None)));
    }

    #[test]
    fn without_a_weight_all_numbers_but_0_are_a_fault() {
        let says = |value| influence_of(100, &[("a", Verdict::saying(value), Effect::Fault)]).1;
        assert_eq!(says(0), None);
        let fault = "tracker a says 1, and all but 0 is a fault";
        assert_eq!(says(1).as_deref(), Some(fault));
        assert!(says(-1).is_some());
    }
}
