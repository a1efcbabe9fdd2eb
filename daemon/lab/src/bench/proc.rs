//! Process data from /proc: children, CPU time and memory.

use std::fs;
use std::time::Duration;

use vrrp_lab::{Error, Result};

/// Memory of a daemon, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Memory {
    /// Resident set size: shared pages count fully for each process.
    pub(crate) rss: u32,
    /// Proportional set size: a page that n processes share counts as 1/n.
    pub(crate) pss: u32,
    /// Pages that only this process maps.
    pub(crate) private: u32,
}

/// PIDs of the direct children of `parent`.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| parent_of(*pid) == Some(parent))
        .collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name is in parentheses and may contain any character.
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(1)?.parse().ok()
}

/// CPU time of all threads of `processes` so far, from the scheduler's account (`schedstat`) in
/// nanoseconds; the fields of `stat` have steps of 10 ms.
pub(crate) fn cpu_time(processes: &[u32]) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for pid in processes {
        for entry in read_dir(&format!("/proc/{pid}/task"))? {
            let path = entry.path().join("schedstat");
            // The thread may have exited since the directory was read.
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            let spent = text.split(' ').next().and_then(|field| field.parse().ok());
            total += spent
                .map(Duration::from_nanos)
                .ok_or_else(|| Error::new(format!("reading {}", path.display()), "no number"))?;
        }
    }
    Ok(total)
}

/// CPU time of the exited and waited-for children of `processes`, in steps of 10 ms (proc(5),
/// `cutime` and `cstime` of `stat`).
pub(crate) fn children_time(processes: &[u32]) -> Result<Duration> {
    // USER_HZ, which is 100 on every architecture that Linux runs on today.
    const TICK: Duration = Duration::from_millis(10);
    let mut ticks = 0;
    for pid in processes {
        let path = format!("/proc/{pid}/stat");
        let text = fs::read_to_string(&path)
            .map_err(|error| Error::new(format!("reading {path}"), error))?;
        let fields = text.rsplit_once(") ").map_or("", |(_, fields)| fields);
        let times = fields.split(' ').skip(13).take(2);
        let times = times.filter_map(|field| field.parse::<u32>().ok());
        ticks += times.sum::<u32>();
    }
    Ok(TICK * ticks)
}

/// Sum of the memory of `processes`.
pub(crate) fn memory(processes: &[u32]) -> Result<Memory> {
    let mut total = Memory::default();
    for pid in processes {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path)
            .map_err(|error| Error::new(format!("reading {path}"), error))?;
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (name, value) = (words.next(), words.next());
            let value = || {
                value
                    .and_then(|value| value.parse::<u32>().ok())
                    .unwrap_or(0)
            };
            match name {
                Some("Rss:") => total.rss += value(),
                Some("Pss:") => total.pss += value(),
                Some("Private_Clean:" | "Private_Dirty:") => total.private += value(),
                Some(_) | None => {}
            }
        }
    }
    Ok(total)
}

fn read_dir(path: &str) -> Result<Vec<fs::DirEntry>> {
    fs::read_dir(path)
        .and_then(Iterator::collect)
        .map_err(|error| Error::new(format!("reading {path}"), error))
}
