//! What a daemon costs that does nothing but its task: CPU time and memory, as master and as backup.

use std::thread::sleep;
use std::time::{Duration, Instant};

use vrrp_lab::Result;

use super::fixture::Fixture;
use super::proc::{self, Memory};
use super::subject::{Kind, Task};

/// The cost of one kind with one task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) master: Cpu,
    pub(crate) backup: Cpu,
    /// Of the master, when no other daemon of its kind runs here.
    pub(crate) master_memory: Memory,
    /// Of the backup, while the master runs and shares the program's pages with it.
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

/// A pair at work, watched for `span`.
pub(crate) fn measure(kind: Kind, task: Task, span: Duration) -> Result<Cost> {
    let mut fixture = Fixture::with_pair(kind, task)?;
    fixture.look_away();
    sleep(Duration::from_millis(500));
    let processes = [0, 1].map(|host| fixture.daemon(host).map(|daemon| daemon.processes()));
    let [master, backup] = processes;
    let (master, backup) = (master?, backup?);
    let look = || -> Result<(Instant, u64, Duration, Duration)> {
        let frames = fixture.frames_sent(0)?;
        Ok((
            Instant::now(),
            frames,
            proc::cpu_time(&master)?,
            proc::cpu_time(&backup)?,
        ))
    };
    let before = look()?;
    sleep(span);
    let after = look()?;
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
    fixture.take(1)?.stop()?;
    Ok(Cost {
        master: result.0,
        backup: result.1,
        master_memory: proc::memory(&master)?,
        backup_memory,
    })
}
