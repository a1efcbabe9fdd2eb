//! Trackers of kind `route`: a route to a destination, by whichever program it was added, and
//! optionally a gateway that answers.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::time::sleep;
use vrrp_config::{Rhythm, Route};
use vrrp_linux::reach::{self, Asked, Lookout, NoWay, Wanted, Way};
use vrrp_proto::InterfaceIndex;

use super::complaint::Complaint;
use super::network::Answer;
use super::time_limit::TimeLimit;
use super::{NodeIsGone, Reporter, turns, watched};

/// Pause after a failed request to the kernel.
const REST: Duration = Duration::from_secs(1);

/// Task of one tracker.
pub(super) async fn follow(route: Route, mut reporter: Reporter) {
    loop {
        let complaint = match attend(&route, &mut reporter).await {
            Ok(NodeIsGone) => return,
            Err(error) => Complaint::of("cannot read routes", &error),
        };
        if reporter.report_answer(Err(complaint)).is_err() {
            return;
        }
        sleep(REST).await;
    }
}

/// Watches the route until the node has ended or a request to the kernel fails.
async fn attend(route: &Route, reporter: &mut Reporter) -> io::Result<NodeIsGone> {
    let wanted = Wanted {
        destination: route.destination,
        table: route.table,
        gateway: route.gateway,
        device: route.device.clone(),
    };
    let lookout = Lookout::open(wanted, route.neighbour.is_some())?;
    let mut watch = Watch {
        lookout: watched(lookout)?,
        destination: route.destination.to_string(),
        answers: Vec::new(),
    };
    watch.take()?;
    match route.neighbour {
        None => watch.for_the_route(reporter).await,
        Some(rhythm) => watch.for_the_gateway(rhythm, reporter).await,
    }
}

/// State of one tracker.
struct Watch {
    lookout: AsyncFd<Lookout>,
    destination: String,
    /// Answers of gateways since the last probe.
    answers: Vec<reach::Answer>,
}

/// Gateway and its device, which can be probed.
type Whom = (InterfaceIndex, IpAddr);

/// Result of a look at the route and a probe of its gateways.
enum Outcome {
    /// A gateway answered.
    Answered(Answer),
    /// A gateway is not probed, for the reason in the text.
    Given(String),
    /// There is no route, or no gateway answered.
    Bad(Complaint),
    /// The route changed before the result was known.
    Overtaken,
}

/// Result of the probe of one gateway.
enum Said {
    Answered,
    Given,
    Nothing,
    Refused(io::Error),
}

impl Watch {
    /// Reports the route after each change.
    async fn for_the_route(&mut self, reporter: &mut Reporter) -> io::Result<NodeIsGone> {
        let mut last = None;
        loop {
            let ways = self.ways();
            let found = match &ways {
                Ok(ways) => (true, self.found(ways)),
                Err(reason) => (false, reason.to_string()),
            };
            if last.as_ref() != Some(&found) {
                last = Some(found.clone());
                if reporter.report(found.0, found.1).is_err() {
                    return Ok(NodeIsGone);
                }
            }
            self.hear().await?;
        }
    }

    /// Probes the gateway periodically and after each change of the route, and reports the result.
    async fn for_the_gateway(
        &mut self,
        rhythm: Rhythm,
        reporter: &mut Reporter,
    ) -> io::Result<NodeIsGone> {
        let mut turns = turns(rhythm.interval);
        turns.tick().await;
        // The gateway that answered last.
        let mut trusted = None;
        loop {
            let ways = self.ways();
            let outcome = match &ways {
                Ok(ways) => self.question(ways, &mut trusted, rhythm).await?,
                Err(reason) => Outcome::Bad(reason.to_string().into()),
            };
            let told = match outcome {
                Outcome::Answered(answer) => reporter.report_answer(Ok(answer)),
                Outcome::Given(what) => reporter.report(true, what),
                Outcome::Bad(complaint) => reporter.report_answer(Err(complaint)),
                Outcome::Overtaken => continue,
            };
            if told.is_err() {
                return Ok(NodeIsGone);
            }
            // Until the next probe is due, or the route changes.
            while self.ways() == ways {
                tokio::select! {
                    biased;
                    _ = turns.tick() => break,
                    heard = self.hear() => heard?,
                }
            }
        }
    }

    /// Probes one gateway after the other, beginning with the one that answered last, each for its
    /// share of the time.
    async fn question(
        &mut self,
        ways: &[Way],
        trusted: &mut Option<Whom>,
        rhythm: Rhythm,
    ) -> io::Result<Outcome> {
        let time_limit = TimeLimit::of(rhythm.timeout);
        let mut gateways: Vec<(&Way, Whom)> = ways
            .iter()
            .filter_map(|way| Some((way, (way.device?, way.gateway?))))
            .collect();
        // The sort is stable: the other gateways stay in their order.
        gateways.sort_by_key(|(_, whom)| Some(*whom) != *trusted);
        if gateways.is_empty() {
            let found = self.found(ways);
            let complaint = format!("{found}: no gateway to probe");
            return Ok(Outcome::Bad(complaint.into()));
        }
        let mut complaints = Vec::new();
        for (index, (way, whom)) in gateways.iter().enumerate() {
            let share = time_limit.share(gateways.len() - index);
            let found = self.found(std::slice::from_ref(way));
            let said = self.ask(*whom, &share).await?;
            if self.ways().ok().as_deref() != Some(ways) {
                return Ok(Outcome::Overtaken);
            }
            let outcome = match said {
                Said::Answered => Outcome::Answered(Answer {
                    what: format!("{found}: gateway answered"),
                    after: time_limit.so_far(),
                }),
                Said::Given => {
                    let what = "permanent neighbour entry, gateway not probed";
                    Outcome::Given(format!("{found}: {what}"))
                }
                Said::Nothing => {
                    complaints.push(silence(way).into());
                    continue;
                }
                Said::Refused(error) => {
                    let (_, gateway) = whom;
                    let what = format!("cannot probe gateway {gateway}");
                    complaints.push(Complaint::of(what, &error));
                    continue;
                }
            };
            *trusted = Some(*whom);
            return Ok(outcome);
        }
        Ok(Outcome::Bad(Complaint::of_all(&complaints)))
    }

    /// Probes one gateway, and waits until it answers or the route changes.
    async fn ask(&mut self, (device, gateway): Whom, time_limit: &TimeLimit) -> io::Result<Said> {
        let before = self.ways();
        // An answer from before the probe does not count.
        self.take()?;
        self.answers.clear();
        match self.lookout.get_mut().ask(device, gateway) {
            Ok(Asked::NeedsNone) => return Ok(Said::Given),
            Ok(Asked::Yes) => {}
            Err(error) => return Ok(Said::Refused(error)),
        }
        let answer = async {
            while self.ways() == before {
                self.hear().await?;
                let mut answers = self.answers.drain(..);
                let answer =
                    answers.find(|answer| (answer.device, answer.gateway) == (device, gateway));
                match answer.map(|answer| answer.answered) {
                    Some(true) => return Ok(Said::Answered),
                    Some(false) => return Ok(Said::Nothing),
                    None => {}
                }
            }
            Ok(Said::Nothing)
        };
        let waited = time_limit.wait(answer, String::new).await;
        waited.unwrap_or(Ok(Said::Nothing))
    }

    fn ways(&self) -> Result<Vec<Way>, NoWay> {
        self.lookout.get_ref().ways()
    }

    /// First way and number of further ones: `10.0.0.0/8 via 192.168.224.1 on ens33 and 1 more`.
    fn found(&self, ways: &[Way]) -> String {
        let first = ways.first().map(ToString::to_string).unwrap_or_default();
        let more = match ways.len() {
            0 | 1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        format!("{}{first}{more}", self.destination)
    }

    /// Waits for events of the kernel, and takes them in.
    async fn hear(&mut self) -> io::Result<()> {
        let mut ready = self.lookout.readable_mut().await?;
        ready.get_inner_mut().read(&mut self.answers)?;
        ready.clear_ready();
        Ok(())
    }

    /// Takes in the events that have arrived.
    fn take(&mut self) -> io::Result<()> {
        self.lookout.get_mut().read(&mut self.answers)
    }
}

fn silence(way: &Way) -> String {
    let gateway = way.gateway.map(|gateway| format!(" {gateway}"));
    let device = way.name.as_ref().map(|name| format!(" on {name}"));
    let (gateway, device) = (gateway.unwrap_or_default(), device.unwrap_or_default());
    format!("gateway{gateway} does not answer{device}")
}
