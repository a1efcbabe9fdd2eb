//! Cost of a daemon in normal operation: CPU time and memory, as master and as backup.

use std::thread::sleep;
use std::time::{Duration, Instant};

use vrrp_lab::Result;

use super::fixture::Fixture;
use super::proc::{self, Memory};
use super::subject::{Kind, Task};

/// Cost of one kind of daemon with one task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) master: Cpu,
    pub(crate) backup: Cpu,
    /// Memory of the master while no other daemon of its kind runs.
    pub(crate) master_memory: Memory,
    /// Memory of the backup while the master runs and shares the program's pages.
    pub(crate) backup_memory: Memory,
}

/// CPU time of a daemon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu {
    /// Microseconds per second.
    pub(crate) rate: f64,
    /// Microseconds per advertisement sent or received.
    pub(crate) per_advert: f64,
}

/// Measures a pair in normal operation for `span`.
pub(crate) fn measure(kind: Kind, task: Task, span: Duration) -> Result<Cost> {
    let mut fixture = Fixture::with_pair(kind, task)?;
    fixture.stop_captures();
    sleep(Duration::from_millis(500));
    let processes = [0, 1].map(|host| fixture.daemon(host).map(|daemon| daemon.processes()));
    let [master, backup] = processes;
    let (master, backup) = (master?, backup?);
    let read = || -> Result<(Instant, u64, Duration, Duration)> {
        let frames = fixture.frames_sent(0)?;
        Ok((
            Instant::now(),
            frames,
            proc::cpu_time(&master)?,
            proc::cpu_time(&backup)?,
        ))
    };
    let before = read()?;
    sleep(span);
    let after = read()?;
    let seconds = (after.0 - before.0).as_secs_f64();
    let adverts = u32::try_from(after.1 - before.1).map_or(f64::NAN, f64::from);
    let cpu = |before: Duration, after: Duration| {
        let micros = after.saturating_sub(before).as_secs_f64() * 1e6;
        Cpu {
            rate: micros / seconds,
            per_advert: micros / adverts,
        }
    };
    let backup_memory = proc::memory(&backup)?;
    let result = (cpu(before.2, after.2), cpu(before.3, after.3));
    // Stopped before the master's memory is read: a running backup halves shared pages in its PSS.
    fixture.take(1)?.stop()?;
    Ok(Cost {
        master: result.0,
        backup: result.1,
        master_memory: proc::memory(&master)?,
        backup_memory,
    })
}
