//! HTTP client of the experiments, which measures outages of the web server.
//!
//! It sends a request every 10 ms, each on a new connection and without waiting for earlier
//! answers: the connections to a host that failed hang, and the client must notice at once when
//! another host answers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::clock::Moment;
use crate::error::{Doing, Error, Result};
use crate::journal::Journal;
use crate::namespace::Namespaces;

/// Time between two requests.
const RHYTHM: Duration = Duration::from_millis(10);
/// Time between two requests from which on it counts as a stall of the machine.
const STANDSTILL: Duration = Duration::from_millis(100);
/// Time limit for an answer.
const PATIENCE: Duration = Duration::from_millis(150);

/// One request and its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Time of the request.
    pub asked: Moment,
    /// Time at which the answer was complete, or the request had failed.
    pub done: Moment,
    /// Name of the host that answered, or the reason for the failure.
    pub answer: Result<String, String>,
}

/// Sends requests until dropped.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    asks: Journal<Ask>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Client {
    pub(crate) fn start(namespaces: Arc<Namespaces>, address: SocketAddr) -> Result<Self> {
        let doing = format!("starting a client of {address}");
        let asks = Journal::new();
        let (stop, stopped) = oneshot::channel();
        let journal = asks.clone();
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .doing(doing.as_str())?;
        let thread = thread::Builder::new()
            .name("client".to_owned())
            .spawn(move || {
                if namespaces.enter().is_ok() {
                    // Dropping the runtime afterwards cancels the open requests.
                    runtime.block_on(keep_asking(address, &journal, stopped));
                }
            })
            .doing(doing)?;
        Ok(Self {
            address,
            asks,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// All completed requests, in the order of completion.
    pub fn asks(&self) -> &Journal<Ask> {
        &self.asks
    }

    /// Longest time without an answer between `from` and `to`. An answer just before `from` does
    /// not count, so an interval without any answer is one long outage.
    pub fn outage(&self, from: Moment, to: Moment) -> Duration {
        let (start, end) = self.longest_gap(from, to);
        end.since(start)
    }

    /// Beginning and end of the longest time without an answer between `from` and `to`.
    pub fn longest_gap(&self, from: Moment, to: Moment) -> (Moment, Moment) {
        let mut answers: Vec<Moment> = self
            .answers()
            .map(|(done, _)| done)
            .filter(|done| (from..=to).contains(done))
            .collect();
        answers.sort();
        answers.push(to);
        let mut before = from;
        let mut longest = (from, from);
        for done in answers {
            if done.since(before) > longest.1.since(longest.0) {
                longest = (before, done);
            }
            before = done;
        }
        longest
    }

    /// Time between `from` and `to` for which the machine did not schedule the client: without
    /// requests there can be no missing answers. Gaps below 100 ms do not count.
    pub fn standstill(&self, from: Moment, to: Moment) -> Duration {
        let mut asked: Vec<Moment> = self
            .asks
            .entries()
            .iter()
            .map(|ask| ask.asked)
            .filter(|asked| *asked <= to)
            .collect();
        asked.sort();
        asked
            .windows(2)
            .filter(|pair| pair[1] >= from)
            .map(|pair| pair[1].since(pair[0].max(from)))
            .filter(|wait| *wait >= STANDSTILL)
            .sum()
    }

    /// Name of the host that gave the last answer before or at `at`.
    pub fn served_by(&self, at: Moment) -> Option<String> {
        self.answers()
            .filter(|(done, _)| *done <= at)
            .max_by_key(|(done, _)| *done)
            .map(|(_, name)| name)
    }

    /// First answer of each series of answers from the same host.
    pub fn servers(&self) -> Vec<(Moment, String)> {
        let mut answers: Vec<_> = self.answers().collect();
        answers.sort();
        answers.dedup_by(|next, before| next.1 == before.1);
        answers
    }

    /// Waits until `name` answers a request sent after this call, and returns the time of that
    /// answer.
    ///
    /// # Errors
    /// If it does not within `timeout`; the error shows the outcome of the last requests.
    pub fn wait_for(&self, name: &str, timeout: Duration) -> Result<Moment> {
        let now = Moment::now();
        let answered = |ask: &Ask| ask.asked >= now && ask.answer.as_deref() == Ok(name);
        match self.asks.wait_from(self.asks.len(), answered, timeout) {
            Some(ask) => Ok(ask.done),
            None => Err(Error::new(
                format!(
                    "waiting {timeout:?} for {name} to answer at {}",
                    self.address
                ),
                format!("outcome of the last requests: {:?}", self.last_answers()),
            )),
        }
    }

    fn answers(&self) -> impl Iterator<Item = (Moment, String)> {
        self.asks
            .entries()
            .into_iter()
            .filter_map(|ask| Some((ask.done, ask.answer.ok()?)))
    }

    fn last_answers(&self) -> Vec<Result<String, String>> {
        let from = self.asks.len().saturating_sub(3);
        self.asks
            .entries_from(from)
            .into_iter()
            .map(|ask| ask.answer)
            .collect()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn keep_asking(address: SocketAddr, asks: &Journal<Ask>, mut stopped: oneshot::Receiver<()>) {
    let mut rhythm = interval(RHYTHM);
    // After a stall a burst of delayed requests would measure nothing.
    rhythm.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            _ = rhythm.tick() => {}
        }
        let asks = asks.clone();
        tokio::spawn(async move {
            let asked = Moment::now();
            let answer = match timeout(PATIENCE, ask(address)).await {
                Ok(answer) => answer.map_err(|error| error.to_string()),
                Err(_) => Err(format!("no answer within {PATIENCE:?}")),
            };
            asks.push(Ask {
                asked,
                done: Moment::now(),
                answer,
            });
        });
    }
}

async fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: vip\r\nConnection: close\r\n\r\n")
        .await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    match response.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200") => Ok(body.trim().to_owned()),
        Some(_) | None => Err(io::Error::other(format!("unexpected answer: {response:?}"))),
    }
}
