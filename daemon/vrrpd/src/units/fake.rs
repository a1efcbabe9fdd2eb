//! Simulated systemd for tests: listens at its own socket in place of the bus, records the
//! requests, and ends each job as the test demands.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde::Serialize;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use zbus::connection::Builder;
use zbus::message::Message;
use zbus::{Connection, DynamicType, Guid, ObjectPath, Variant};

use crate::testing::Directory;

const BUS: &str = "org.freedesktop.DBus";
const SYSTEMD: &str = "org.freedesktop.systemd1";

/// Time limit for an expected event of a test.
const PATIENCE: Duration = Duration::from_secs(20);

/// Fate of a job.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    /// The job ends at once with this result.
    Ends(&'static str),
    /// The job ends with this result before its acceptance is reported.
    EndsEarly(&'static str),
    /// The job does not end before [`Fake::end`].
    Hangs,
    /// The job is rejected with this error.
    Refused(&'static str, &'static str),
}

/// Simulated systemd.
pub(crate) struct Fake {
    shared: Arc<Shared>,
    directory: Directory,
    listening: Option<AbortHandle>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct State {
    asked: Vec<String>,
    fates: BTreeMap<String, VecDeque<Fate>>,
    units: BTreeMap<String, &'static str>,
    hanging: BTreeMap<String, String>,
    connections: Vec<(mpsc::UnboundedSender<Message>, AbortHandle)>,
    /// Whether the client has subscribed to signals.
    is_subscribed: bool,
    is_away: bool,
    watched: usize,
    last_job: u32,
    incarnation: u32,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Fake {
    /// Starts a simulated systemd.
    pub(crate) fn start() -> Self {
        let mut fake = Self {
            shared: Arc::default(),
            directory: Directory::new(),
            listening: None,
        };
        fake.listen();
        fake
    }

    pub(crate) fn address(&self) -> String {
        format!("unix:path={}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.directory.path("bus")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The mutex may be poisoned by a failed test, which has reported its failure already.
        self.shared.lock()
    }

    /// Sets the fate of the next such job (`start a.service`), or of the request `load a.service`.
    /// Further calls set the fates of further jobs.
    pub(crate) fn next(&self, job: &str, fate: Fate) {
        let mut state = self.state();
        state
            .fates
            .entry(job.to_owned())
            .or_default()
            .push_back(fate);
    }

    /// Requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    /// Waits for `count` requests, and returns all.
    pub(crate) async fn wait_for_asked(&self, count: usize) -> Vec<String> {
        self.wait(|state| state.asked.len() >= count).await;
        self.asked()
    }

    /// Waits until `count` units are watched.
    pub(crate) async fn wait_for_watched(&self, count: usize) {
        self.wait(|state| state.watched >= count).await;
    }

    async fn wait(&self, mut is_so: impl FnMut(&State) -> bool) {
        let waiting = async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if is_so(&self.state()) {
                    return;
                }
                changed.await;
            }
        };
        if timeout(PATIENCE, waiting).await.is_err() {
            panic!("only these requests came: {:?}", self.asked());
        }
    }

    /// Changes the state of a unit, and sends the signal.
    pub(crate) fn set(&self, unit: &str, active: &'static str) {
        self.state().set(unit, active);
    }

    /// Sends the signal of a changed unit from another bus name.
    pub(crate) fn pretend(&self, unit: &str, active: &'static str) {
        self.state().broadcast(&changed(unit, active, ":1.666"));
    }

    /// Ends the hanging job of a unit.
    pub(crate) fn end(&self, unit: &str, result: &str) {
        let mut state = self.state();
        let path = state.hanging.remove(unit).expect("no job hangs");
        let signal = removed(&path, unit, result, &state.name());
        state.broadcast(&signal);
    }

    /// Restarts (`systemctl daemon-reexec`), and forgets all jobs. `unit` then has the state
    /// `active`.
    pub(crate) fn begin_anew(&self, unit: &str, active: &'static str) {
        self.leave();
        self.come_back(unit, active);
    }

    /// Leaves the bus, which continues.
    pub(crate) fn leave(&self) {
        let mut state = self.state();
        let name = state.name();
        state.is_away = true;
        state.is_subscribed = false;
        state.hanging.clear();
        state.broadcast(&owner_changed(&name, ""));
    }

    /// Comes back with another bus name.
    pub(crate) fn come_back(&self, unit: &str, active: &'static str) {
        let mut state = self.state();
        state.is_away = false;
        state.incarnation += 1;
        state.units.insert(unit.to_owned(), active);
        state.broadcast(&owner_changed("", &state.name()));
    }

    /// Stops the bus and closes all connections.
    pub(crate) fn stop(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
        }
        let _ = std::fs::remove_file(self.socket());
        for (_, connection) in self.state().connections.drain(..) {
            connection.abort();
        }
    }

    /// Starts the bus.
    pub(crate) fn listen(&mut self) {
        let listener = UnixListener::bind(self.socket()).unwrap();
        let shared = Arc::clone(&self.shared);
        let listening = async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sender, receiver) = mpsc::unbounded_channel();
                let serving = serve(stream, Arc::clone(&shared), sender.clone(), receiver);
                let serving = tokio::spawn(serving).abort_handle();
                let mut state = shared.lock();
                state.connections.push((sender, serving));
            }
        };
        self.listening = Some(tokio::spawn(listening).abort_handle());
    }
}

impl State {
    fn broadcast(&self, signal: &Message) {
        for (connection, _) in &self.connections {
            let _ = connection.send(signal.clone());
        }
    }

    /// Unique bus name of the present run.
    fn name(&self) -> String {
        format!(":1.{}00", self.incarnation)
    }

    fn set(&mut self, unit: &str, active: &'static str) {
        self.units.insert(unit.to_owned(), active);
        self.broadcast(&changed(unit, active, &self.name()));
    }

    fn fate(&mut self, job: &str) -> Option<Fate> {
        self.fates.get_mut(job).and_then(VecDeque::pop_front)
    }

    /// Runs a job. Returns its messages in order, including the answer to `call`.
    fn work(&mut self, verb: &str, unit: &str, call: &Message) -> Vec<Message> {
        let text = format!("{verb} {unit}");
        self.asked.push(text.clone());
        assert!(
            self.is_subscribed,
            "the end of {text} would be missed: no subscription"
        );
        let fate = self.fate(&text).unwrap_or(Fate::Ends("done"));
        if let Fate::Refused(error, words) = fate {
            return vec![refuse(call, error, words)];
        }
        self.last_job += 1;
        let path = format!("/org/freedesktop/systemd1/job/{}", self.last_job);
        let accepted = answer(call, &self.name(), &object(&path));
        let ends = |state: &mut Self, result: &str| {
            let active = match (verb, result) {
                ("start", "done") => "active",
                ("start", _) => "failed",
                _ => "inactive",
            };
            state.units.insert(unit.to_owned(), active);
            let name = state.name();
            [
                changed(unit, active, &name),
                removed(&path, unit, result, &name),
            ]
        };
        match fate {
            Fate::Ends(result) => {
                let [state, end] = ends(self, result);
                vec![accepted, state, end]
            }
            Fate::EndsEarly(result) => {
                let [state, end] = ends(self, result);
                vec![state, end, accepted]
            }
            Fate::Hangs | Fate::Refused(..) => {
                self.hanging.insert(unit.to_owned(), path.clone());
                vec![accepted]
            }
        }
    }

    /// Answers a call, and carries it out.
    fn respond(&mut self, call: &Message) -> Vec<Message> {
        let header = call.header();
        let body = call.body();
        let two = body.deserialize().map(|(one, other)| vec![one, other]);
        let one = || body.deserialize().map(|one| vec![one]);
        let texts: Vec<&str> = two.or_else(|_| one()).unwrap_or_default();
        let name = self.name();
        let destination = header.destination().map_or("", |name| name.as_str());
        if destination != BUS && (destination != name || self.is_away) {
            let error = "org.freedesktop.DBus.Error.ServiceUnknown";
            return vec![refuse(call, error, "no such name")];
        }
        match (header.member().map_or("", |member| member), &*texts) {
            ("Hello", []) => vec![answer(call, BUS, &":1.7")],
            ("GetNameOwner", [BUS]) => vec![answer(call, BUS, &BUS)],
            ("GetNameOwner", [SYSTEMD]) if self.is_away => {
                self.asked.push("owner of systemd's name".to_owned());
                let error = "org.freedesktop.DBus.Error.NameHasNoOwner";
                vec![refuse(call, error, "no such name")]
            }
            ("GetNameOwner", [SYSTEMD]) => vec![answer(call, BUS, &&*name)],
            ("AddMatch" | "RemoveMatch", [_]) => vec![answer(call, BUS, &())],
            ("Subscribe", []) => {
                self.is_subscribed = true;
                vec![answer(call, &name, &())]
            }
            ("LoadUnit", [unit]) => match self.fate(&format!("load {unit}")) {
                Some(Fate::Refused(error, words)) => vec![refuse(call, error, words)],
                Some(_) | None => vec![answer(call, &name, &object(&path_of(unit)))],
            },
            ("GetAll", ["org.freedesktop.systemd1.Unit"]) => {
                self.watched += 1;
                let path = header.path().map_or("", |path| path);
                let known = self.units.iter().find(|(unit, _)| path_of(unit) == path);
                let active = known.map_or("inactive", |(_, active)| active);
                vec![answer(call, &name, &properties(active))]
            }
            ("StartUnit", [unit, "replace"]) => self.work("start", unit, call),
            ("StopUnit", [unit, "replace"]) => self.work("stop", unit, call),
            (member, arguments) => panic!("unexpected call of {member} with {arguments:?}"),
        }
    }
}

/// Serves one connection as the bus would.
async fn serve(
    stream: UnixStream,
    shared: Arc<Shared>,
    sender: mpsc::UnboundedSender<Message>,
    mut receiver: mpsc::UnboundedReceiver<Message>,
) -> zbus::Result<()> {
    let mut calls = Builder::unix_stream(stream.into_std()?)
        .server(Guid::generate())
        .p2p()
        .build_message_stream()
        .await?;
    let connection = Connection::from(&calls);
    let writing = async {
        while let Some(message) = receiver.recv().await {
            connection.send(&message).await?;
        }
        Ok(())
    };
    let reading = async {
        while let Some(call) = calls.next().await {
            let answers = shared.lock().respond(&call?);
            for answer in answers {
                let _ = sender.send(answer);
            }
            shared.changed.notify_waiters();
        }
        Ok(())
    };
    tokio::select! {
        ended = writing => ended,
        ended = reading => ended,
    }
}

fn answer<B: Serialize + DynamicType>(call: &Message, sender: &str, body: &B) -> Message {
    let answer = Message::method_return(&call.header()).sender(sender.to_owned());
    answer.build(body).unwrap()
}

fn refuse(call: &Message, error: &str, words: &str) -> Message {
    Message::error(&call.header(), error).build(&words).unwrap()
}

fn signal<B: Serialize + DynamicType>(
    (path, interface, member): (&str, &str, &str),
    sender: &str,
    body: &B,
) -> Message {
    let signal = Message::signal(path, interface, member).sender(sender);
    signal.build(body).unwrap()
}

fn object(path: &str) -> ObjectPath<'_> {
    ObjectPath::try_from(path).unwrap()
}

fn path_of(unit: &str) -> String {
    let escaped: String = unit
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            other => format!("_{other:02x}"),
        })
        .collect();
    format!("/org/freedesktop/systemd1/unit/{escaped}")
}

fn owner_changed(old: &str, new: &str) -> Message {
    signal(
        ("/org/freedesktop/DBus", BUS, "NameOwnerChanged"),
        BUS,
        &(SYSTEMD, old, new),
    )
}

fn removed(path: &str, unit: &str, result: &str, sender: &str) -> Message {
    signal(
        (
            "/org/freedesktop/systemd1",
            "org.freedesktop.systemd1.Manager",
            "JobRemoved",
        ),
        sender,
        &(1_u32, object(path), unit, result),
    )
}

fn changed(unit: &str, active: &str, sender: &str) -> Message {
    signal(
        (
            &path_of(unit),
            "org.freedesktop.DBus.Properties",
            "PropertiesChanged",
        ),
        sender,
        &(
            "org.freedesktop.systemd1.Unit",
            properties(active),
            Vec::<&str>::new(),
        ),
    )
}

/// Properties of a unit. `restarting` is an inactive unit that a job is about to start.
fn properties(active: &str) -> HashMap<&'static str, Variant<'_>> {
    let (active, job) = match active {
        "restarting" => ("inactive", 7_u32),
        other => (other, 0),
    };
    let sub = match active {
        "active" => "running",
        "inactive" => "dead",
        "activating" => "auto-restart",
        other => other,
    };
    HashMap::from([
        ("ActiveState", Variant::from(active)),
        ("SubState", Variant::from(sub)),
        ("LoadState", Variant::from("loaded")),
        ("Job", Variant::from((job, object("/")))),
    ])
}
