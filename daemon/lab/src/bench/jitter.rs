//! How evenly a master advertises: each gap against the interval, and the drift of the whole.

use std::thread::sleep;
use std::time::Duration;

use vrrp_lab::{Error, Result};

use super::fixture::{Fixture, What};
use super::subject::{Kind, Task};
use super::takeover::micros_between;

/// What a master's advertisements show, in microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jitter {
    /// By how much each gap is longer than the interval. What a late advertisement adds to one gap
    /// is missing in the next, unless the master counts on from there: then the median is above
    /// zero, and is its drift.
    pub(crate) deviations: Vec<f64>,
}

/// A master of one router, alone, watched for `span`.
pub(crate) fn measure(kind: Kind, interval: Duration, span: Duration) -> Result<Jitter> {
    let task = Task {
        instances: 1,
        addresses: 1,
        interval,
    };
    let fixture = Fixture::with_master(kind, task)?;
    // What comes with becoming master is over.
    sleep(Duration::from_millis(300).max(interval));
    let mark = fixture.mark();
    sleep(span);
    let times: Vec<Duration> = fixture
        .sightings(&mark)
        .into_iter()
        .filter(|sighting| sighting.what == What::Advert)
        .map(|sighting| sighting.at)
        .collect();
    if times.len() < 2 {
        let doing = format!("watching {kind} advertise");
        return Err(Error::new(doing, "it is silent"));
    }
    let deviation = |pair: &[Duration]| micros_between(pair[0] + interval, pair[1]);
    Ok(Jitter {
        deviations: times.windows(2).map(deviation).collect(),
    })
}
