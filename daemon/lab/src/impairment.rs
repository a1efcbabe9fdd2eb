//! Impairments of a cable.

use std::time::Duration;

/// Impairment of a cable. The default is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Impairment {
    /// Delay of each frame, in both directions.
    pub delay: Duration,
    /// Share of lost frames, in both directions: 0.0 none, 1.0 all.
    pub loss: f64,
    /// Seed of the random numbers for `loss`.
    pub seed: u64,
    /// Whether all frames to the host are lost.
    pub cut_to_host: bool,
    /// Whether all frames from the host are lost.
    pub cut_from_host: bool,
}

impl Impairment {
    /// Delays each frame by `delay`.
    pub fn delay(delay: Duration) -> Self {
        Self {
            delay,
            ..Self::default()
        }
    }

    /// Loses the share `loss` of all frames.
    pub fn loss(loss: f64, seed: u64) -> Self {
        Self {
            loss,
            seed,
            ..Self::default()
        }
    }

    /// Loses all frames to the host; frames from the host arrive.
    pub fn deaf() -> Self {
        Self {
            cut_to_host: true,
            ..Self::default()
        }
    }

    /// Loses all frames from the host; frames to the host arrive.
    pub fn mute() -> Self {
        Self {
            cut_from_host: true,
            ..Self::default()
        }
    }

    /// Loses all frames, in both directions; the host keeps its carrier.
    pub fn cut() -> Self {
        Self {
            cut_to_host: true,
            cut_from_host: true,
            ..Self::default()
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        let Self {
            delay,
            loss,
            seed: _,
            cut_to_host,
            cut_from_host,
        } = *self;
        delay.is_zero() && loss <= 0.0 && !cut_to_host && !cut_from_host
    }
}
