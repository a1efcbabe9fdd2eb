//! Experiment 1: one network, one address, and everything that the course does to them.

use std::thread::sleep;
use std::time::Duration;

use vrrp_lab::{Filter, Moment, Result, Signal};
use vrrp_proto::State;

use super::course::{CHECK_INTERVAL, VI_1, Who};
use super::fixture::Fixture;
use super::scene::{PATIENCE, Scene};
use super::story::{Act, Plan, Story, Twice, precise};
use super::{Part, millis};

/// For how long the daemon is frozen: longer than the other one waits.
const FREEZE: Duration = Duration::from_secs(8);
/// What starting a web server may take beside the interval of its check.
const START_OF_HTTPD: Duration = Duration::from_secs(1);
/// How exactly the kernel's stamps on frames can be compared with ours.
const STAMP: Duration = Duration::from_millis(5);

/// Plays these parts, one after the other.
pub(crate) fn play(story: &mut Story, parts: &[Part]) -> Result<()> {
    let fixture = Fixture::new(&[VI_1])?;
    let mut scene = Scene::new(&fixture)?;
    story.experiment(
        1,
        "master (192.168.224.11, priority 100) and backup (.12, 99) keep 192.168.224.100 for a client",
    );
    let mut good = start(story, &mut scene);
    for part in parts {
        if !good {
            scene.restore()?;
        }
        good = match part {
            Part::Httpd => httpd(story, &mut scene),
            Part::Power => power(story, &mut scene),
            Part::Reboot => reboot(story, &mut scene),
            Part::Stop => stop(story, &mut scene),
            Part::Kill => kill(story, &mut scene),
            Part::Freeze => freeze(story, &mut scene),
            Part::Delete => delete(story, &mut scene),
            Part::Cable => cable(story, &mut scene),
            Part::First | Part::Second => true,
        };
    }
    Ok(())
}

const ON_MASTER: &[Who] = &[Who::Master];
const ON_BACKUP: &[Who] = &[Who::Backup];

fn start(story: &mut Story, scene: &mut Scene<'_>) -> bool {
    let bound = VI_1.first_listening();
    let plan = Plan {
        name: "both hosts are switched on",
        expected: format!("address on master, within {}", millis(bound)),
        bound,
        holders: ON_MASTER,
        twice: Twice::Never,
    };
    story.step(scene, plan, |scene, act| {
        scene.backup.start_services()?;
        let started = scene.master.start_services()?;
        act.serves_from = started;
        let came = scene.arrival(Who::Master, &VI_1, started)?;
        act.took("on master", came.since(started), bound);
        Ok(())
    })
}

fn httpd(story: &mut Story, scene: &mut Scene<'_>) -> bool {
    let bound = CHECK_INTERVAL + START_OF_HTTPD;
    let plan = Plan {
        name: "httpd is stopped on master",
        expected: "the check script starts it, no switch".to_owned(),
        bound,
        holders: ON_MASTER,
        twice: Twice::Never,
    };
    story.step(scene, plan, |scene, act| {
        let before = scene.status(Who::Master, &VI_1)?;
        let old = scene.master.httpd()?;
        scene.master.stop_httpd(&old)?;
        let new = scene.master.wait_for_httpd(&old, bound)?;
        act.took("started again", new.since(act.start), bound);
        act.must(!scene.has_moved(&VI_1, act.start), || {
            "the address moved".to_owned()
        });
        let after = scene.status(Who::Master, &VI_1)?;
        act.must(after.history.len() == before.history.len(), || {
            format!("the master switched: {}", after.cause)
        });
        Ok(())
    })
}

fn power(story: &mut Story, scene: &mut Scene<'_>) -> bool {
    let off = silence(story, scene, "master loses its power", |scene| {
        scene.master.power_off()
    });
    let on = failback(story, scene, "master is powered on", |scene| {
        scene.master.power_on()
    });
    off && on
}

fn reboot(story: &mut Story, scene: &mut Scene<'_>) -> bool {
    let down = resignation(story, scene, "master is shut down in order", |scene| {
        scene.master.shut_down()
    });
    let up = failback(story, scene, "... and boots again", |scene| {
        scene.master.power_on()
    });
    down && up
}

fn stop(story: &mut Story, scene: &mut Scene<'_>) -> bool {
    let stopped = resignation(story, scene, "the daemon is stopped", |scene| {
        scene.master.stop_daemon()
    });
    let started = failback(story, scene, "the daemon is started", |scene| {
        scene.master.start_daemon()
    });
    stopped && started
}

fn kill(story: &mut Story, scene: &mut Scene<'_>) -> bool {
    let killed = silence(story, scene, "the daemon is killed, cleaned up", |scene| {
        scene.master.kill_daemon().map(drop)
    });
    let started = failback(story, scene, "the daemon is started again", |scene| {
        scene.master.start_daemon()
    });
    killed && started
}

fn freeze(story: &mut Story, scene: &mut Scene<'_>) -> bool {
    let (silence, listening) = (VI_1.master_down(Who::Backup), VI_1.master_down(Who::Master));
    let plan = Plan {
        name: "the daemon is frozen for 8 s",
        expected: "two holders until it wakes; it listens before it sends".to_owned(),
        // The frozen host's kernel and web server go on serving.
        bound: Duration::ZERO,
        holders: ON_MASTER,
        twice: Twice::Frozen,
    };
    story.step(scene, plan, |scene, act| {
        let frames = scene
            .fixture
            .master
            .capture(VI_1.interface, Filter::vrrp())?;
        let daemon = scene.daemon(Who::Master)?;
        daemon.process().kill(Signal::SIGSTOP)?;
        let taken = scene.arrival(Who::Backup, &VI_1, act.start)?;
        act.took("backup", taken.since(act.start), silence);
        sleep(FREEZE.saturating_sub(act.start.elapsed()));
        let woken = Moment::now();
        act.woken = Some(woken);
        scene.daemon(Who::Master)?.process().kill(Signal::SIGCONT)?;
        let left = scene.departure(Who::Master, &VI_1, woken)?;
        act.fact(format_args!(
            "lets go {} after waking",
            precise(left.since(woken))
        ));
        act.fact(format_args!(
            "both hold it for {}",
            millis(left.since(taken))
        ));
        let back = scene.arrival(Who::Master, &VI_1, woken)?;
        act.took("master again", back.since(woken), listening);
        let sent = frames
            .frames()
            .wait_for(|frame| frame.outgoing && frame.at >= woken, PATIENCE);
        let silent = sent.map_or(Duration::ZERO, |frame| frame.at.since(woken));
        act.fact(format_args!("silent for {}", millis(silent)));
        act.must(silent + STAMP >= listening, || {
            format!("it did not listen for {} before it sent", millis(listening))
        });
        Ok(())
    })
}

fn delete(story: &mut Story, scene: &mut Scene<'_>) -> bool {
    let plan = Plan {
        name: "the address is deleted by hand",
        expected: "back at once, no switch".to_owned(),
        bound: Duration::ZERO,
        holders: ON_MASTER,
        twice: Twice::Never,
    };
    story.step(scene, plan, |scene, act| {
        let before = scene.status(Who::Master, &VI_1)?;
        let asked = Moment::now();
        scene
            .fixture
            .master
            .delete_address(VI_1.interface, VI_1.vip)?;
        let went = scene.departure(Who::Master, &VI_1, asked)?;
        let came = scene.arrival(Who::Master, &VI_1, went)?;
        act.fact(format_args!("back after {}", precise(came.since(went))));
        let after = scene.status(Who::Master, &VI_1)?;
        let repairs = after.counters.repairs - before.counters.repairs;
        act.must(repairs == 1, || {
            format!("the daemon counts {repairs} repairs")
        });
        act.must(
            after.state == State::Master
                && after.history.len() == before.history.len()
                && after.state_age > before.state_age,
            || format!("the daemon switched: {}", after.cause),
        );
        Ok(())
    })
}

fn cable(story: &mut Story, scene: &mut Scene<'_>) -> bool {
    let pulled = silence(story, scene, "the master's cable is pulled", |scene| {
        scene.fixture.plug(Who::Master, false)
    });
    let listening = VI_1.master_down(Who::Master);
    let plan = Plan {
        name: "the cable is put back",
        expected: format!("master again, within {}", millis(listening)),
        bound: Duration::ZERO,
        holders: ON_MASTER,
        twice: Twice::Handover,
    };
    let plugged = story.step(scene, plan, |scene, act| {
        scene.fixture.plug(Who::Master, true)?;
        let came = scene.arrival(Who::Master, &VI_1, act.start)?;
        act.took("master", came.since(act.start), listening);
        Ok(())
    });
    pulled && plugged
}

/// A step in which the master falls silent: the backup waits three intervals and its skew.
fn silence<'h>(
    story: &mut Story,
    scene: &mut Scene<'h>,
    name: &'static str,
    event: impl FnOnce(&mut Scene<'h>) -> Result<()>,
) -> bool {
    takeover(story, scene, name, VI_1.master_down(Who::Backup), event)
}

/// A step in which the master says that it leaves: the backup waits its skew.
fn resignation<'h>(
    story: &mut Story,
    scene: &mut Scene<'h>,
    name: &'static str,
    event: impl FnOnce(&mut Scene<'h>) -> Result<()>,
) -> bool {
    takeover(story, scene, name, VI_1.skew(Who::Backup), event)
}

fn takeover<'h>(
    story: &mut Story,
    scene: &mut Scene<'h>,
    name: &'static str,
    bound: Duration,
    event: impl FnOnce(&mut Scene<'h>) -> Result<()>,
) -> bool {
    let plan = Plan {
        name,
        expected: format!("backup takes over, within {}", millis(bound)),
        bound,
        holders: ON_BACKUP,
        twice: Twice::Never,
    };
    story.step(scene, plan, |scene, act| {
        event(scene)?;
        let came = scene.arrival(Who::Backup, &VI_1, act.start)?;
        act.took("backup", came.since(act.start), bound);
        why(scene, act, Who::Backup)
    })
}

/// A step in which the daemon of the master starts: it listens for a moment and takes its place.
/// `event` returns when the daemon was started.
fn failback<'h>(
    story: &mut Story,
    scene: &mut Scene<'h>,
    name: &'static str,
    event: impl FnOnce(&mut Scene<'h>) -> Result<Moment>,
) -> bool {
    let listening = VI_1.first_listening();
    let plan = Plan {
        name,
        expected: format!("master again, within {}", millis(listening)),
        bound: Duration::ZERO,
        holders: ON_MASTER,
        twice: Twice::Handover,
    };
    story.step(scene, plan, |scene, act| {
        let started = event(scene)?;
        let came = scene.arrival(Who::Master, &VI_1, started)?;
        act.took("master", came.since(started), listening);
        why(scene, act, Who::Master)
    })
}

/// What the daemon itself gives as the reason.
fn why(scene: &Scene<'_>, act: &mut Act, who: Who) -> Result<()> {
    let daemon = scene.daemon(who)?;
    daemon.wait_for_state(VI_1.name, State::Master, PATIENCE)?;
    let cause = daemon.instance(VI_1.name)?.cause;
    act.reason(cause);
    Ok(())
}
