//! Trackers of kind `ping`: a host that has to answer ICMP echo requests.

use std::collections::hash_map::RandomState;
use std::error::Error as _;
use std::hash::BuildHasher as _;
use std::io;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};
use vrrp_config::Ping;
use vrrp_linux::echo::{Echoes, Route};

use super::complaint::{Complaint, is_shortage};
use super::network::{Answer, Target};
use super::time_limit::TimeLimit;
use super::{Reporter, turns};

/// Task of one tracker.
pub(super) async fn follow(ping: Ping, mut reporter: Reporter) {
    let mut turns = turns(ping.rhythm.interval);
    let mut target = Target::new(&ping.host, &ping.origin);
    // The random keys of the hash make tokens that other hosts cannot guess.
    let (keys, mut number) = (RandomState::new(), 0_u64);
    loop {
        turns.tick().await;
        number += 1;
        let answer = ask(&ping, &mut target, keys.hash_one(number)).await;
        if answer.is_err() {
            target.doubt();
        }
        if reporter.report_answer(answer).is_err() {
            return;
        }
    }
}

/// Sends the requests of one result and waits for the answers.
async fn ask(ping: &Ping, target: &mut Target, token: u64) -> Result<Answer, Complaint> {
    let time_limit = TimeLimit::of(ping.rhythm.timeout);
    let addresses = target.addresses(&time_limit).await?;
    let address = addresses
        .first()
        .ok_or_else(|| "it has no address".to_owned())?;
    let address = *address;
    let route = Route {
        target: address,
        source: ping.origin.source,
        interface: ping.origin.interface.as_deref(),
    };
    let opened = Echoes::open(route, token);
    let (echoes, socket) = opened.map_err(|error| match error.source() {
        Some(source) if source.downcast_ref().is_some_and(is_shortage) => {
            Complaint::Shortage(error.to_string())
        }
        Some(_) | None => Complaint::Down(error.to_string()),
    })?;
    let socket = UdpSocket::from_std(socket)
        .map_err(|error| Complaint::of("cannot wait for an answer", &error))?;
    let mut round = Round::new(ping);
    let begun = Instant::now();
    while !round.is_over() {
        let (due, is_last) = match round.requests.len() {
            sent if sent < usize::from(ping.packets) => {
                let spacing = ping.spacing * u32::try_from(sent).unwrap_or(u32::MAX);
                (begun + spacing, false)
            }
            _ => {
                let spacing = ping.spacing * u32::from(ping.packets - 1);
                (begun + spacing + ping.rhythm.timeout, true)
            }
        };
        tokio::select! {
            biased;
            received = receive(&echoes, &socket), if !round.requests.is_empty() => round.take(received),
            () = sleep_until(due) => {
                if is_last {
                    break;
                }
                round.send(&echoes, &socket);
            }
        }
    }
    let answer = round.judge(&address.to_string(), &time_limit.limit());
    Ok(answer?)
}

/// Waits for the next answer, or for an error that concerns a request.
async fn receive(echoes: &Echoes, socket: &UdpSocket) -> io::Result<u16> {
    loop {
        let ready = socket.ready(Interest::READABLE | Interest::ERROR).await?;
        // `try_io` for both at once would clear both, although only one is ready.
        let news = if ready.is_readable() {
            Interest::READABLE
        } else {
            Interest::ERROR
        };
        match socket.try_io(news, || echoes.receive(socket)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            received => return received,
        }
    }
}

/// Requests of one result, and their answers.
struct Round<'p> {
    ping: &'p Ping,
    requests: Vec<Request>,
    /// Number of requests that got an error.
    refused: usize,
    /// Last error.
    complaint: Option<io::Error>,
}

struct Request {
    sent: Instant,
    after: Option<Duration>,
}

impl<'p> Round<'p> {
    fn new(ping: &'p Ping) -> Self {
        Self {
            ping,
            requests: Vec::with_capacity(ping.packets.into()),
            refused: 0,
            complaint: None,
        }
    }

    fn send(&mut self, echoes: &Echoes, socket: &UdpSocket) {
        let sequence = u16::try_from(self.requests.len()).unwrap_or(u16::MAX);
        self.requests.push(Request {
            sent: Instant::now(),
            after: None,
        });
        if let Err(error) = echoes.ask(socket, sequence) {
            self.refuse(error);
        }
    }

    fn take(&mut self, received: io::Result<u16>) {
        match received {
            Ok(sequence) => {
                // Only the first answer counts: the network may duplicate it.
                if let Some(request) = self.requests.get_mut(usize::from(sequence))
                    && request.after.is_none()
                {
                    request.after = Some(request.sent.elapsed());
                }
            }
            Err(error) => self.refuse(error),
        }
    }

    fn refuse(&mut self, error: io::Error) {
        self.refused += 1;
        self.complaint = Some(error);
    }

    fn answered(&self) -> usize {
        self.requests
            .iter()
            .filter_map(|request| request.after)
            .count()
    }

    /// Whether no further answer can change the result.
    fn is_over(&self) -> bool {
        let all = usize::from(self.ping.packets);
        self.answered() + self.refused >= all || self.refused > usize::from(self.ping.max_lost)
    }

    fn judge(&self, address: &str, limit: &str) -> Result<Answer, String> {
        let (all, answered) = (usize::from(self.ping.packets), self.answered());
        let is_up = answered + usize::from(self.ping.max_lost) >= all;
        let what = match (is_up, all) {
            (true, _) if answered == all => "answered".to_owned(),
            (false, 1) => format!("no answer from {address}"),
            _ => format!("{answered} of {all} answers from {address}"),
        };
        if is_up {
            let times = self.requests.iter().filter_map(|request| request.after);
            let longest = times.max().unwrap_or_default();
            return Ok(Answer {
                what,
                after: longest,
            });
        }
        Err(match &self.complaint {
            Some(error) => format!("{what}: {error}"),
            None => format!("{what} {limit}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use vrrp_config::{Host, Origin, Rhythm};

    use super::*;

    fn ping(packets: u16, max_lost: u16) -> Ping {
        Ping {
            host: Host::Address([192, 0, 2, 1].into()),
            origin: Origin::default(),
            rhythm: Rhythm {
                interval: Duration::from_secs(1),
                timeout: Duration::from_secs(1),
            },
            packets,
            spacing: Duration::from_millis(100),
            max_lost,
        }
    }

    /// A round with these answers: the number of a request, or `None` for an error.
    fn round<'p>(ping: &'p Ping, answers: &[Option<u16>]) -> Round<'p> {
        let mut round = Round::new(ping);
        for _ in 0..ping.packets {
            round.requests.push(Request {
                sent: Instant::now(),
                after: None,
            });
        }
        for answer in answers {
            let refusal = || io::Error::other("no route");
            round.take(answer.ok_or_else(refusal));
        }
        round
    }

    fn judge(ping: &Ping, answers: &[Option<u16>]) -> (bool, Result<String, String>) {
        let round = round(ping, answers);
        let verdict = round.judge("192.0.2.1", "within 1 s");
        (round.is_over(), verdict.map(|answer| answer.what))
    }

    #[tokio::test]
    async fn loopback_answers_if_ping_is_permitted() {
        let mut ping = Ping {
            host: Host::Address([127, 0, 0, 1].into()),
            ..ping(3, 0)
        };
        // Far longer than the loopback interface takes.
        ping.rhythm.timeout = Duration::from_secs(20);
        let mut target = Target::new(&ping.host, &ping.origin);
        let answer = ask(&ping, &mut target, 42).await;
        let what = answer.map(|answer| answer.what);
        let forbidden = "not permitted to ping: CAP_NET_RAW is missing";
        match what {
            // The sandbox of a build may lack the capability; the tests of the lab have it.
            Err(complaint) if complaint.to_string().starts_with(forbidden) => {}
            what => assert_eq!(what, Ok("answered".to_owned())),
        }
    }

    #[test]
    fn single_request_is_answered_or_not() {
        let ping = ping(1, 0);
        assert_eq!(judge(&ping, &[Some(0)]), (true, Ok("answered".to_owned())));
        let silence = "no answer from 192.0.2.1 within 1 s".to_owned();
        assert_eq!(judge(&ping, &[]), (false, Err(silence)));
        let refusal = "no answer from 192.0.2.1: no route".to_owned();
        assert_eq!(judge(&ping, &[None]), (true, Err(refusal)));
    }

    #[test]
    fn max_lost_requests_are_tolerated() {
        let ping = ping(3, 1);
        let some = || Ok("2 of 3 answers from 192.0.2.1".to_owned());
        assert_eq!(judge(&ping, &[Some(0), Some(2)]), (false, some()));
        assert_eq!(judge(&ping, &[Some(0), None, Some(2)]), (true, some()));
        let few = "1 of 3 answers from 192.0.2.1 within 1 s".to_owned();
        assert_eq!(judge(&ping, &[Some(1)]), (false, Err(few)));
        let refused = "0 of 3 answers from 192.0.2.1: no route".to_owned();
        assert_eq!(judge(&ping, &[None, None]), (true, Err(refused)));
    }

    #[test]
    fn duplicate_and_unknown_answers_are_ignored() {
        let ping = ping(2, 0);
        let half = "1 of 2 answers from 192.0.2.1 within 1 s".to_owned();
        assert_eq!(
            judge(&ping, &[Some(1), Some(1), Some(7)]),
            (false, Err(half))
        );
    }
}
