//! What tells an advertisement that was sent before from a new one: the numbers that a router gives
//! its own, and the last ones that it has heard of each sender.

use core::net::IpAddr;
use core::time::Duration;

use crate::params::AntiReplay;
use crate::wire::hmac::{KeyId, Sequence};

/// How many senders a router remembers. Only who knows a key is remembered, and of a virtual router
/// there are rarely more than two who speak; of more the one that was heard least recently is
/// forgotten, and what it had sent within the window could be repeated.
const SENDERS: usize = 16;

impl AntiReplay {
    /// Whether what bears `sequence` was sent about now, as far as that matters.
    pub(crate) fn is_timely(self, sequence: Sequence, wall: Duration) -> bool {
        match self {
            Self::Time { window } => {
                sequence.seconds_ahead(wall).unsigned_abs() <= window.as_secs()
            }
            Self::Monotonic => true,
        }
    }
}

/// The numbers of one's own advertisements.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    last: Option<Sequence>,
}

impl Sent {
    /// The number of what is sent now: the wall clock, or where that does not go on, the next one.
    /// Nothing is kept over a restart, because the clock has gone on meanwhile.
    ///
    /// When a clock that was ahead by more than the window is set right, nobody believes numbers of
    /// its former time; they begin anew, and the others have forgotten theirs. Without a window
    /// growing is all that counts.
    pub(crate) fn next(&mut self, wall: Duration, anti_replay: AntiReplay) -> Sequence {
        let clock = Sequence::at(wall);
        let next = match self.last {
            Some(last) if !clock.is_after(last) && anti_replay.is_timely(last, wall) => last.next(),
            _ => clock,
        };
        self.last = Some(next);
        next
    }
}

/// Who was heard, and the last number of each.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The one that was heard last is the last one.
    senders: Vec<Sender>,
}

/// One who knows a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sender {
    pub(crate) address: IpAddr,
    pub(crate) sequence: Sequence,
    /// The key that it signed with.
    pub(crate) key: KeyId,
    /// By how many seconds its clock was ahead of ours.
    pub(crate) ahead: i64,
}

impl Heard {
    /// Whether what `sender` has sent, and what came in when the clock showed `wall`, is new.
    pub(crate) fn admit(
        &mut self,
        sender: Sender,
        wall: Duration,
        anti_replay: AntiReplay,
    ) -> bool {
        let known = self
            .senders
            .iter()
            .position(|known| known.address == sender.address);
        if let Some(at) = known {
            let last = self.senders[at].sequence;
            // A number outside of the window holds back nothing that the window does not. Without
            // it a sender whose clock was set back would stay unheard until its former time.
            if anti_replay.is_timely(last, wall) && !sender.sequence.is_after(last) {
                return false;
            }
            self.senders.remove(at);
        } else if self.senders.len() == SENDERS {
            self.senders.remove(0);
        }
        self.senders.push(sender);
        true
    }

    /// Those who were heard, the last one last.
    pub(crate) fn senders(&self) -> &[Sender] {
        &self.senders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: AntiReplay = AntiReplay::Time {
        window: Duration::from_secs(5),
    };
    const NOW: Duration = Duration::from_secs(1_800_000_000);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// What the host `number` sends when its clock shows `wall`.
    fn from(number: u8, wall: Duration) -> Sender {
        Sender {
            address: [192, 168, 224, number].into(),
            sequence: Sequence::at(wall),
            key: KeyId::new(1).unwrap(),
            ahead: 0,
        }
    }

    #[test]
    fn numbers_follow_the_clock_and_grow_while_it_stands_still() {
        for anti_replay in [TIME, AntiReplay::Monotonic] {
            let mut sent = Sent::default();
            let first = sent.next(NOW, anti_replay);
            assert_eq!(first, Sequence::at(NOW));
            assert_eq!(sent.next(NOW, anti_replay), first.next());
            // Set back by as much as the window lets pass.
            assert_eq!(
                sent.next(NOW - seconds(5), anti_replay),
                first.next().next()
            );
            let later = NOW + seconds(1);
            assert_eq!(sent.next(later, anti_replay), Sequence::at(later));
        }
    }

    #[test]
    fn a_clock_that_is_set_back_by_more_than_the_window_is_followed_where_there_is_one() {
        let back = NOW - seconds(6);
        let mut sent = Sent::default();
        sent.next(NOW, TIME);
        assert_eq!(sent.next(back, TIME), Sequence::at(back));
        let mut sent = Sent::default();
        let last = sent.next(NOW, AntiReplay::Monotonic);
        assert_eq!(sent.next(back, AntiReplay::Monotonic), last.next());
    }

    #[test]
    fn a_number_counts_once_and_never_after_a_greater_one() {
        for anti_replay in [TIME, AntiReplay::Monotonic] {
            let mut heard = Heard::default();
            let mut admit = |sender| heard.admit(sender, NOW, anti_replay);
            assert!(admit(from(1, NOW)));
            assert!(!admit(from(1, NOW)));
            assert!(admit(from(1, NOW + seconds(2))));
            assert!(!admit(from(1, NOW + seconds(1))));
            assert!(admit(from(2, NOW)), "another one counts for itself");
        }
    }

    #[test]
    fn what_is_out_of_the_window_is_not_timely_on_either_side() {
        let timely = |anti_replay: AntiReplay, wall| anti_replay.is_timely(Sequence::at(NOW), wall);
        assert!(timely(TIME, NOW + seconds(5)) && timely(TIME, NOW - seconds(5)));
        assert!(!timely(TIME, NOW + seconds(6)) && !timely(TIME, NOW - seconds(6)));
        assert!(timely(AntiReplay::Monotonic, seconds(0)));
    }

    #[test]
    fn a_sender_whose_clock_is_set_right_is_heard_again_once_the_window_is_over() {
        let mut heard = Heard::default();
        assert!(heard.admit(from(1, NOW + seconds(4)), NOW, TIME));
        assert!(!heard.admit(from(1, NOW), NOW, TIME));
        // By now the former time is past anyway.
        let later = NOW + seconds(10);
        assert!(heard.admit(from(1, later - seconds(5)), later, TIME));
        let mut heard = Heard::default();
        assert!(heard.admit(from(1, NOW + seconds(4)), NOW, AntiReplay::Monotonic));
        assert!(!heard.admit(from(1, NOW), later, AntiReplay::Monotonic));
    }

    #[test]
    fn of_many_senders_the_one_that_was_heard_least_recently_is_forgotten() {
        let mut heard = Heard::default();
        let mut admit = |number, wall| heard.admit(from(number, wall), NOW, AntiReplay::Monotonic);
        for number in 0..16 {
            assert!(admit(number, NOW));
        }
        assert!(admit(0, NOW + seconds(1)));
        assert!(admit(16, NOW));
        assert!(!admit(0, NOW), "it was heard since");
        assert!(!admit(2, NOW));
        assert!(admit(1, NOW), "it is forgotten");
        assert_eq!(heard.senders().len(), SENDERS);
    }
}
