//! How evenly a master advertises: each gap against the interval, and the drift of the whole.

use std::thread::sleep;
use std::time::Duration;

use vrrp_lab::{Error, Result};

use super::arena::{Arena, What};
use super::subject::{Kind, Task};
use super::takeover::micros_between;

/// What a master's advertisements show, in microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jitter {
    /// By how much each gap misses the interval.
    pub(crate) deviations: Vec<f64>,
    /// How much longer than the interval a gap is on average.
    pub(crate) drift: f64,
}

/// A master of one router, alone, watched for `span`.
pub(crate) fn measure(kind: Kind, interval: Duration, span: Duration) -> Result<Jitter> {
    let task = Task {
        instances: 1,
        interval,
    };
    let arena = Arena::with_master(kind, task)?;
    // What comes with becoming master is over.
    sleep(Duration::from_millis(300).max(interval));
    let mark = arena.mark();
    sleep(span);
    let times: Vec<Duration> = arena
        .sightings(&mark)
        .into_iter()
        .filter(|sighting| sighting.what == What::Advert)
        .map(|sighting| sighting.at)
        .collect();
    let (Some(first), Some(last), Ok(gaps)) = (
        times.first(),
        times.last(),
        u32::try_from(times.len().saturating_sub(1)),
    ) else {
        return Err(Error::new(
            format!("watching {kind} advertise"),
            "it is silent",
        ));
    };
    if gaps == 0 {
        return Err(Error::new(
            format!("watching {kind} advertise"),
            "one advertisement only",
        ));
    }
    Ok(Jitter {
        deviations: times
            .windows(2)
            .map(|pair| micros_between(pair[0] + interval, pair[1]).abs())
            .collect(),
        drift: micros_between(interval * gaps, *last - *first) / f64::from(gaps),
    })
}
