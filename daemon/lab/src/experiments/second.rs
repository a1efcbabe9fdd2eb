//! Experiment 2: a second network card with an address of its own.
//!
//! As the course has it, VI_2 has priority 100 on both hosts. Only a higher priority preempts: a
//! host that comes back hears an equal one and leaves it in its place. (The greater address decides
//! only between two that are masters at once.) So the addresses end up on different hosts; a lower
//! priority of VI_2 on the backup, or a sync group, keeps them together.

use vrrp_lab::Result;

use super::course::{VI_1, VI_2, Who};
use super::fixture::Fixture;
use super::millis;
use super::scene::Scene;
use super::story::{Plan, Story, Twice};

pub(crate) fn play(story: &mut Story) -> Result<()> {
    let fixture = Fixture::new(&[VI_1, VI_2])?;
    let mut scene = Scene::new(&fixture)?;
    story.experiment(
        2,
        "a second network with 192.168.198.100, for which both hosts have priority 100",
    );
    start(story, &mut scene);
    power_off(story, &mut scene);
    if power_on(story, &mut scene) {
        explain(story);
    }
    Ok(())
}

fn explain(story: &Story) {
    story.say(format_args!(
        "          Why: only a higher priority preempts. VI_1 fails back, 100 over 99; for VI_2 the master hears 100 from \
         an\n          equal and leaves it in its place. A lower priority for VI_2 on the backup, or a sync group, keeps both\n          \
         addresses on one host."
    ));
}

fn start(story: &mut Story, scene: &mut Scene<'_>) -> bool {
    let bound = VI_1.first_listening().max(VI_2.first_listening());
    let plan = Plan {
        name: "both hosts are switched on",
        expected: format!("both addresses on master, within {}", millis(bound)),
        bound,
        holders: &[Who::Master, Who::Master],
        twice: Twice::Never,
    };
    story.step(scene, plan, |scene, act| {
        scene.backup.start_services()?;
        let started = scene.master.start_services()?;
        act.serves_from = started;
        for instance in scene.fixture.instances {
            let came = scene.arrival(Who::Master, instance, started)?;
            let what = format!("{} on master", instance.name);
            act.took(&what, came.since(started), instance.first_listening());
        }
        Ok(())
    })
}

fn power_off(story: &mut Story, scene: &mut Scene<'_>) -> bool {
    let bound = VI_1
        .master_down(Who::Backup)
        .max(VI_2.master_down(Who::Backup));
    let plan = Plan {
        name: "master loses its power",
        expected: format!("backup takes over both, within {}", millis(bound)),
        bound,
        holders: &[Who::Backup, Who::Backup],
        twice: Twice::Never,
    };
    story.step(scene, plan, |scene, act| {
        scene.master.power_off()?;
        for instance in scene.fixture.instances {
            let came = scene.arrival(Who::Backup, instance, act.start)?;
            let what = format!("{} on backup", instance.name);
            act.took(
                &what,
                came.since(act.start),
                instance.master_down(Who::Backup),
            );
        }
        Ok(())
    })
}

fn power_on(story: &mut Story, scene: &mut Scene<'_>) -> bool {
    let plan = Plan {
        name: "master is powered on",
        expected: "VI_1 fails back, VI_2 stays: equal priority".to_owned(),
        bound: std::time::Duration::ZERO,
        holders: &[Who::Master, Who::Backup],
        twice: Twice::Handover,
    };
    story.step(scene, plan, |scene, act| {
        let before = scene.status(Who::Backup, &VI_2)?;
        let started = scene.master.power_on()?;
        let came = scene.arrival(Who::Master, &VI_1, started)?;
        act.took(
            "VI_1 on master",
            came.since(started),
            VI_1.first_listening(),
        );
        // Longer than it would have to listen, had it heard nobody.
        std::thread::sleep(VI_2.master_down(Who::Master));
        let after = scene.status(Who::Backup, &VI_2)?;
        act.must(after.history.len() == before.history.len(), || {
            format!("VI_2 switched: {}", after.cause)
        });
        let heard = scene.status(Who::Master, &VI_2)?.master;
        act.must(
            heard
                .as_ref()
                .is_some_and(|peer| peer.priority == VI_2.priority(Who::Backup)),
            || format!("on the master VI_2 hears {heard:?}"),
        );
        act.fact("VI_2 on backup");
        Ok(())
    })
}
