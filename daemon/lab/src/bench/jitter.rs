//! Jitter: deviation of a master's advertisements from the interval, and its drift.

use std::thread::sleep;
use std::time::Duration;

use vrrp_lab::{Error, Result};

use super::fixture::{Fixture, What};
use super::subject::{Kind, Task};
use super::takeover::micros_between;

/// Timing of a master's advertisements, in microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jitter {
    /// Each gap minus the interval. A late advertisement lengthens one gap and shortens the next,
    /// unless the master restarts the interval at the late one: then the median is above zero and
    /// equals the drift per advertisement.
    pub(crate) deviations: Vec<f64>,
}

/// Measures a single master of one router for `span`.
pub(crate) fn measure(kind: Kind, interval: Duration, span: Duration) -> Result<Jitter> {
    let task = Task::single(interval);
    let fixture = Fixture::with_master(kind, task)?;
    // The announcements of the new master are complete.
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
        let doing = format!("measuring the advertisements of {kind}");
        return Err(Error::new(doing, format!("fewer than two within {span:?}")));
    }
    let deviation = |pair: &[Duration]| micros_between(pair[0] + interval, pair[1]);
    Ok(Jitter {
        deviations: times.windows(2).map(deviation).collect(),
    })
}
