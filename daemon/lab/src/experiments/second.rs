//! Experiment 2: a second network card with a second virtual address.
//!
//! As in the course, VI_2 has priority 100 on both hosts. Only a higher priority preempts: a
//! restarted host that receives advertisements of equal priority remains backup. (The greater
//! address decides only between two hosts that are master at once.) So the addresses end up on
//! different hosts; a lower priority of VI_2 on the backup, or a sync group, keeps them together.

use vrrp_lab::Result;

use super::course::{Role, VI_1, VI_2};
use super::experiment::Experiment;
use super::fixture::Fixture;
use super::millis;
use super::runner::{Plan, Runner, TwoHolders};

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    let fixture = Fixture::new(&[VI_1, VI_2])?;
    let mut experiment = Experiment::new(&fixture, runner.has_report)?;
    runner.experiment(
        2,
        "a second network with 192.168.198.100, for which both hosts have priority 100",
    );
    start(runner, &mut experiment);
    power_off(runner, &mut experiment);
    if power_on(runner, &mut experiment) {
        explain(runner);
    }
    Ok(())
}

fn explain(runner: &Runner) {
    runner.print_line(format_args!(
        "          Why: only a higher priority preempts. VI_1 fails back (100 > 99). For VI_2 both hosts have priority 100, so\n          \
         the returning host does not preempt the current master. A lower priority of VI_2 on backup, or a sync group,\n          \
         keeps both addresses on one host."
    ));
}

fn start(runner: &mut Runner, experiment: &mut Experiment<'_>) -> bool {
    let bound = VI_1.first_listening().max(VI_2.first_listening());
    let plan = Plan {
        name: "both hosts are powered on",
        expected: format!("both addresses on master, within {}", millis(bound)),
        bound,
        holders: &[Role::Master, Role::Master],
        two_holders: TwoHolders::Never,
    };
    runner.step(experiment, plan, |experiment, trial| {
        experiment.backup.start_services()?;
        let started = experiment.master.start_services()?;
        trial.serves_from = started;
        for instance in experiment.fixture.instances {
            let came = experiment.arrival(Role::Master, instance, started)?;
            let what = format!("{} on master", instance.name);
            trial.took(&what, came.since(started), instance.first_listening());
        }
        Ok(())
    })
}

fn power_off(runner: &mut Runner, experiment: &mut Experiment<'_>) -> bool {
    let bound = VI_1
        .master_down(Role::Backup)
        .max(VI_2.master_down(Role::Backup));
    let plan = Plan {
        name: "master loses power",
        expected: format!("backup takes over both, within {}", millis(bound)),
        bound,
        holders: &[Role::Backup, Role::Backup],
        two_holders: TwoHolders::Never,
    };
    runner.step(experiment, plan, |experiment, trial| {
        experiment.master.power_off()?;
        for instance in experiment.fixture.instances {
            let came = experiment.arrival(Role::Backup, instance, trial.start)?;
            let what = format!("{} on backup", instance.name);
            trial.took(
                &what,
                came.since(trial.start),
                instance.master_down(Role::Backup),
            );
        }
        Ok(())
    })
}

fn power_on(runner: &mut Runner, experiment: &mut Experiment<'_>) -> bool {
    let plan = Plan {
        name: "master is powered on",
        expected: "VI_1 fails back, VI_2 does not: equal priority".to_owned(),
        bound: std::time::Duration::ZERO,
        holders: &[Role::Master, Role::Backup],
        two_holders: TwoHolders::Handover,
    };
    runner.step(experiment, plan, |experiment, trial| {
        let before = experiment.status(Role::Backup, &VI_2)?;
        let started = experiment.master.power_on()?;
        let came = experiment.arrival(Role::Master, &VI_1, started)?;
        trial.took(
            "VI_1 on master",
            came.since(started),
            VI_1.first_listening(),
        );
        // Longer than the host listens before it becomes master without any advertisement.
        std::thread::sleep(VI_2.master_down(Role::Master));
        let after = experiment.status(Role::Backup, &VI_2)?;
        trial.require(after.history.len() == before.history.len(), || {
            format!("VI_2 changed its state: {}", after.cause)
        });
        let observed = experiment.status(Role::Master, &VI_2)?.master;
        trial.require(
            observed
                .as_ref()
                .is_some_and(|peer| peer.priority == VI_2.priority(Role::Backup)),
            || format!("VI_2 on master receives advertisements of {observed:?}"),
        );
        trial.fact("VI_2 on backup");
        Ok(())
    })
}
