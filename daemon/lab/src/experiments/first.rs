//! Experiment 1: one network, one address, and all faults of the course.

use std::thread::sleep;
use std::time::Duration;

use vrrp_lab::{Filter, Moment, Result, Signal};
use vrrp_proto::State;

use super::course::{CHECK_INTERVAL, Role, VI_1};
use super::experiment::{Experiment, PATIENCE};
use super::fixture::Fixture;
use super::runner::{Plan, Runner, Trial, TwoHolders, precise};
use super::{Part, millis};

/// Duration of the freeze, longer than the backup waits for the master.
const FREEZE: Duration = Duration::from_secs(8);
/// Time limit for the start of a web server, in addition to the interval of the check script.
const START_OF_HTTPD: Duration = Duration::from_secs(1);
/// Accuracy with which the kernel's timestamps of frames are comparable with ours.
const STAMP: Duration = Duration::from_millis(5);

/// Runs these parts, one after the other.
pub(crate) fn run(runner: &mut Runner, parts: &[Part]) -> Result<()> {
    let fixture = Fixture::new(&[VI_1])?;
    let mut experiment = Experiment::new(&fixture, runner.has_report)?;
    runner.experiment(
        1,
        "master (192.168.224.11, priority 100) and backup (.12, 99) keep 192.168.224.100 for a client",
    );
    let mut good = start(runner, &mut experiment);
    for part in parts {
        if !good {
            experiment.restore()?;
        }
        good = match part {
            Part::Httpd => httpd(runner, &mut experiment),
            Part::Power => power(runner, &mut experiment),
            Part::Reboot => reboot(runner, &mut experiment),
            Part::Stop => stop(runner, &mut experiment),
            Part::Kill => kill(runner, &mut experiment),
            Part::Freeze => freeze(runner, &mut experiment),
            Part::Delete => delete(runner, &mut experiment),
            Part::Cable => cable(runner, &mut experiment),
            Part::First | Part::Second => true,
        };
    }
    Ok(())
}

const ON_MASTER: &[Role] = &[Role::Master];
const ON_BACKUP: &[Role] = &[Role::Backup];

fn start(runner: &mut Runner, experiment: &mut Experiment<'_>) -> bool {
    let bound = VI_1.first_listening();
    let plan = Plan {
        name: "both hosts are powered on",
        expected: format!("address on master, within {}", millis(bound)),
        bound,
        holders: ON_MASTER,
        two_holders: TwoHolders::Never,
    };
    runner.step(experiment, plan, |experiment, trial| {
        experiment.backup.start_services()?;
        let started = experiment.master.start_services()?;
        trial.serves_from = started;
        let came = experiment.arrival(Role::Master, &VI_1, started)?;
        trial.took("on master", came.since(started), bound);
        Ok(())
    })
}

fn httpd(runner: &mut Runner, experiment: &mut Experiment<'_>) -> bool {
    let bound = CHECK_INTERVAL + START_OF_HTTPD;
    let plan = Plan {
        name: "httpd is stopped on master",
        expected: "the check script restarts it, no transition".to_owned(),
        bound,
        holders: ON_MASTER,
        two_holders: TwoHolders::Never,
    };
    runner.step(experiment, plan, |experiment, trial| {
        let before = experiment.status(Role::Master, &VI_1)?;
        let old = experiment.master.httpd()?;
        experiment.master.stop_httpd(&old)?;
        let new = experiment.master.wait_for_httpd(&old, bound)?;
        trial.took("restarted", new.since(trial.start), bound);
        trial.require(!experiment.has_moved(&VI_1, trial.start), || {
            "the address was added or deleted".to_owned()
        });
        let after = experiment.status(Role::Master, &VI_1)?;
        trial.require(after.history.len() == before.history.len(), || {
            format!("the master changed its state: {}", after.cause)
        });
        Ok(())
    })
}

fn power(runner: &mut Runner, experiment: &mut Experiment<'_>) -> bool {
    let off = takeover(
        runner,
        experiment,
        "master loses power",
        Takeover::from_silence(),
        |experiment| experiment.master.power_off(),
    );
    let on = failback(runner, experiment, "master is powered on", |experiment| {
        experiment.master.power_on()
    });
    off && on
}

fn reboot(runner: &mut Runner, experiment: &mut Experiment<'_>) -> bool {
    let down = takeover(
        runner,
        experiment,
        "master is shut down cleanly",
        Takeover::from_resignation(),
        |experiment| experiment.master.shut_down(),
    );
    let up = failback(runner, experiment, "... and boots again", |experiment| {
        experiment.master.power_on()
    });
    down && up
}

fn stop(runner: &mut Runner, experiment: &mut Experiment<'_>) -> bool {
    let stopped = takeover(
        runner,
        experiment,
        "the daemon is stopped",
        Takeover::from_hand_over(),
        |experiment| experiment.master.stop_daemon(),
    );
    let started = failback(runner, experiment, "the daemon is started", |experiment| {
        experiment.master.start_daemon()
    });
    stopped && started
}

fn kill(runner: &mut Runner, experiment: &mut Experiment<'_>) -> bool {
    let killed = takeover(
        runner,
        experiment,
        "the daemon is killed, cleanup runs",
        Takeover::from_silence(),
        |experiment| experiment.master.kill_daemon().map(drop),
    );
    let started = failback(
        runner,
        experiment,
        "the daemon is started again",
        |experiment| experiment.master.start_daemon(),
    );
    killed && started
}

fn freeze(runner: &mut Runner, experiment: &mut Experiment<'_>) -> bool {
    let (silence, listening) = (
        VI_1.master_down(Role::Backup),
        VI_1.master_down(Role::Master),
    );
    let plan = Plan {
        name: "the daemon is frozen for 8 s",
        expected: "two holders until it is resumed; it listens before it advertises".to_owned(),
        // The kernel and the web server of the host with the frozen daemon still serve the client.
        bound: Duration::ZERO,
        holders: ON_MASTER,
        two_holders: TwoHolders::Frozen,
    };
    runner.step(experiment, plan, |experiment, trial| {
        let frames = experiment
            .fixture
            .master
            .capture(VI_1.interface, Filter::vrrp())?;
        let daemon = experiment.daemon(Role::Master)?;
        daemon.process().kill(Signal::SIGSTOP)?;
        let taken = experiment.arrival(Role::Backup, &VI_1, trial.start)?;
        trial.took("backup", taken.since(trial.start), silence);
        sleep(FREEZE.saturating_sub(trial.start.elapsed()));
        let resumed = Moment::now();
        trial.resumed = Some(resumed);
        experiment
            .daemon(Role::Master)?
            .process()
            .kill(Signal::SIGCONT)?;
        let left = experiment.departure(Role::Master, &VI_1, resumed)?;
        trial.fact(format_args!(
            "releases the address {} after it is resumed",
            precise(left.since(resumed))
        ));
        trial.fact(format_args!(
            "both hosts hold it for {}",
            millis(left.since(taken))
        ));
        let back = experiment.arrival(Role::Master, &VI_1, resumed)?;
        trial.took("master again", back.since(resumed), listening);
        let sent = frames
            .frames()
            .wait_for(|frame| frame.outgoing && frame.at >= resumed, PATIENCE);
        let silent = sent.map_or(Duration::ZERO, |frame| frame.at.since(resumed));
        trial.fact(format_args!("no advertisement for {}", millis(silent)));
        trial.require(silent + STAMP >= listening, || {
            format!(
                "it advertised before it had listened for {}",
                millis(listening)
            )
        });
        Ok(())
    })
}

fn delete(runner: &mut Runner, experiment: &mut Experiment<'_>) -> bool {
    let plan = Plan {
        name: "the address is deleted by hand",
        expected: "restored at once, no transition".to_owned(),
        bound: Duration::ZERO,
        holders: ON_MASTER,
        two_holders: TwoHolders::Never,
    };
    runner.step(experiment, plan, |experiment, trial| {
        let before = experiment.status(Role::Master, &VI_1)?;
        let asked = Moment::now();
        experiment
            .fixture
            .master
            .delete_address(VI_1.interface, VI_1.vip)?;
        let went = experiment.departure(Role::Master, &VI_1, asked)?;
        let came = experiment.arrival(Role::Master, &VI_1, went)?;
        trial.fact(format_args!("restored after {}", precise(came.since(went))));
        let after = experiment.status(Role::Master, &VI_1)?;
        let repairs = after.counters.repairs - before.counters.repairs;
        trial.require(repairs == 1, || {
            format!("repairs counted by the daemon: {repairs}, expected 1")
        });
        trial.require(
            after.state == State::Master
                && after.history.len() == before.history.len()
                && after.state_age > before.state_age,
            || format!("the daemon changed its state: {}", after.cause),
        );
        Ok(())
    })
}

fn cable(runner: &mut Runner, experiment: &mut Experiment<'_>) -> bool {
    let pulled = takeover(
        runner,
        experiment,
        "the master's cable is pulled",
        Takeover::from_silence(),
        |experiment| experiment.fixture.plug(Role::Master, false),
    );
    let listening = VI_1.master_down(Role::Master);
    let plan = Plan {
        name: "the cable is plugged in again",
        expected: format!("master again, within {}", millis(listening)),
        bound: Duration::ZERO,
        holders: ON_MASTER,
        two_holders: TwoHolders::Handover,
    };
    let plugged = runner.step(experiment, plan, |experiment, trial| {
        experiment.fixture.plug(Role::Master, true)?;
        let came = experiment.arrival(Role::Master, &VI_1, trial.start)?;
        trial.took("master", came.since(trial.start), listening);
        Ok(())
    });
    pulled && plugged
}

/// How the backup takes over.
struct Takeover {
    /// Time limit for the backup to become master.
    within: Duration,
    /// Longest outage of the client.
    bound: Duration,
    two_holders: TwoHolders,
}

impl Takeover {
    /// The master becomes silent: the backup waits three intervals and its skew time.
    fn from_silence() -> Self {
        let within = VI_1.master_down(Role::Backup);
        Self {
            within,
            bound: within,
            two_holders: TwoHolders::Never,
        }
    }

    /// The master sends a final advertisement and its web server stops as well: the backup waits its skew
    /// time.
    fn from_resignation() -> Self {
        let within = VI_1.skew(Role::Backup);
        Self {
            within,
            bound: within,
            two_holders: TwoHolders::Handover,
        }
    }

    /// As [`from_resignation`](Self::from_resignation), where the web server of the master still runs: the
    /// master keeps the address until the backup advertises, and the client is served throughout.
    fn from_hand_over() -> Self {
        Self {
            bound: Duration::ZERO,
            ..Self::from_resignation()
        }
    }
}

/// A step in which the backup takes over.
fn takeover<'h>(
    runner: &mut Runner,
    experiment: &mut Experiment<'h>,
    name: &'static str,
    takeover: Takeover,
    event: impl FnOnce(&mut Experiment<'h>) -> Result<()>,
) -> bool {
    let Takeover {
        within,
        bound,
        two_holders,
    } = takeover;
    let plan = Plan {
        name,
        expected: format!("backup takes over, within {}", millis(within)),
        bound,
        holders: ON_BACKUP,
        two_holders,
    };
    runner.step(experiment, plan, |experiment, trial| {
        event(experiment)?;
        let came = experiment.arrival(Role::Backup, &VI_1, trial.start)?;
        trial.took("backup", came.since(trial.start), within);
        record_reason(experiment, trial, Role::Backup)
    })
}

/// A step in which the daemon of the host `master` starts: it listens for a moment and becomes
/// master again. `event` returns the time at which the daemon was started.
fn failback<'h>(
    runner: &mut Runner,
    experiment: &mut Experiment<'h>,
    name: &'static str,
    event: impl FnOnce(&mut Experiment<'h>) -> Result<Moment>,
) -> bool {
    let listening = VI_1.first_listening();
    let plan = Plan {
        name,
        expected: format!("master again, within {}", millis(listening)),
        bound: Duration::ZERO,
        holders: ON_MASTER,
        two_holders: TwoHolders::Handover,
    };
    runner.step(experiment, plan, |experiment, trial| {
        let started = event(experiment)?;
        let came = experiment.arrival(Role::Master, &VI_1, started)?;
        trial.took("master", came.since(started), listening);
        record_reason(experiment, trial, Role::Master)
    })
}

/// Records the daemon's reason for the transition.
fn record_reason(experiment: &Experiment<'_>, trial: &mut Trial, role: Role) -> Result<()> {
    let daemon = experiment.daemon(role)?;
    daemon.wait_for_state(VI_1.name, State::Master, PATIENCE)?;
    let cause = daemon.instance(VI_1.name)?.cause;
    trial.reason(cause);
    Ok(())
}
