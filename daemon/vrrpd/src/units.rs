//! systemd units: jobs and states over the system bus (org.freedesktop.systemd1(5)).
//!
//! One task holds the connection, and opens a new one when the bus or systemd was restarted
//! (`systemctl daemon-reexec`); it does not connect before the first request. Jobs are requested
//! with mode `replace`, and the signal `JobRemoved` reports their end. One task for each watched
//! unit follows its state by the signal `PropertiesChanged`; there is no polling. When the
//! connection ends, the ends of pending jobs may be missed: they are reported as lost, and the next
//! connection reads the state of every watched unit again.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use vrrp_proto::resources::{Outcome, UnitState, Verb};
use zbus::connection::Builder;
use zbus::fdo::{
    self, DBusProxy, NameOwnerChanged, NameOwnerChangedStream, PropertiesChangedStream,
    PropertiesProxy,
};
use zbus::names::{InterfaceName, OwnedUniqueName};
use zbus::proxy::CacheProperties;
use zbus::{DBusError as _, ObjectPath, OwnedObjectPath, Variant};

const SYSTEMD: &str = "org.freedesktop.systemd1";
const UNIT: InterfaceName<'_> =
    InterfaceName::from_static_str_unchecked("org.freedesktop.systemd1.Unit");

/// Address of the system bus, unless the environment has another one (D-Bus specification,
/// "Well-known Message Bus Instances").
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// Time limit for a connection, and for requests that systemd answers at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time limit for the question whether the unit is restarted. The daemon serves meanwhile.
const RESTART_ANSWER: Duration = Duration::from_millis(500);

/// Time limit for the acceptance of a job: polkit may have to check the authorisation.
const ACCEPTANCE: Duration = Duration::from_secs(30);

/// Most ends of jobs that are remembered because they came before the acceptance of the job.
const REMEMBERED: usize = 1024;

/// systemd's manager.
#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    fn subscribe(&self) -> zbus::Result<()>;
    #[zbus(name = "GetUnitByPID")]
    fn unit_by_pid(&self, pid: u32) -> zbus::Result<OwnedObjectPath>;
    fn load_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    #[zbus(signal)]
    fn job_removed(
        &self,
        id: u32,
        job: ObjectPath<'_>,
        unit: &str,
        result: &str,
    ) -> zbus::Result<()>;
}

/// A unit of systemd.
#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Unit",
    default_service = "org.freedesktop.systemd1"
)]
trait Unit {
    #[zbus(property)]
    fn job(&self) -> zbus::Result<(u32, OwnedObjectPath)>;
}

/// A job of systemd.
#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Job",
    default_service = "org.freedesktop.systemd1"
)]
trait Job {
    #[zbus(property)]
    fn job_type(&self) -> zbus::Result<String>;
}

/// Whether systemd stops the unit of this process to start it again. `false` without an answer in time, and
/// for a process that is in no unit.
pub(crate) async fn is_restart(address: String) -> bool {
    if std::env::var_os("INVOCATION_ID").is_none() {
        return false;
    }
    let ask = async {
        let connection = Builder::address(address.as_str()).build().await?;
        let manager = ManagerProxy::builder(&connection)
            .destination(SYSTEMD)
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        let unit = manager.unit_by_pid(std::process::id()).await?;
        let unit = UnitProxy::builder(&connection)
            .path(unit)
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        let (id, job) = unit.job().await?;
        if id == 0 {
            return Ok(false);
        }
        let job = JobProxy::builder(&connection)
            .path(job)
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        job.job_type().await.map(|kind| kind == "restart")
    };
    let answer: Result<zbus::Result<bool>, _> = timeout(RESTART_ANSWER, ask).await;
    matches!(answer, Ok(Ok(true)))
}

/// Address of the system bus.
pub(crate) fn system_address() -> String {
    match std::env::var("DBUS_SYSTEM_BUS_ADDRESS") {
        Ok(address) if !address.is_empty() => address,
        _ => SYSTEM_BUS.to_owned(),
    }
}

/// Handle of the connection to systemd. Clones lead to the same connection.
#[derive(Clone, Debug)]
pub(crate) struct Units(UnboundedSender<Request>);

/// State of a unit, `None` until it is known, and its changes.
pub(crate) type States = watch::Receiver<Option<UnitState>>;

enum Request {
    Job {
        verb: Verb,
        unit: Arc<str>,
        answer: oneshot::Sender<Outcome>,
    },
    Watch {
        unit: Arc<str>,
        answer: oneshot::Sender<States>,
    },
}

impl Units {
    /// A handle of the systemd behind the bus at `address`.
    pub(crate) fn new(address: String) -> Self {
        let (sender, requests) = unbounded_channel();
        let keeper = Connection {
            address,
            requests,
            watched: BTreeMap::new(),
        };
        tokio::spawn(keeper.run());
        Self(sender)
    }

    /// Requests a job and waits for its end. The job continues if the future is dropped.
    pub(crate) async fn job(&self, verb: Verb, unit: Arc<str>) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        let _ = self.0.send(Request::Job { verb, unit, answer });
        let gone = || Outcome::Lost("the connection to systemd ended".into());
        outcome.await.unwrap_or_else(|_| gone())
    }

    /// Watches the state of a unit, until the returned receiver is dropped.
    pub(crate) async fn watch(&self, unit: Arc<str>) -> Option<States> {
        let (answer, states) = oneshot::channel();
        let _ = self.0.send(Request::Watch { unit, answer });
        states.await.ok()
    }
}

/// Task that holds the connection.
struct Connection {
    address: String,
    requests: UnboundedReceiver<Request>,
    watched: BTreeMap<Arc<str>, Watched>,
}

/// Sender of a unit's state.
type Watched = Arc<watch::Sender<Option<UnitState>>>;

/// A connection to one run of systemd. All of it is dropped with the connection or with systemd.
struct Session {
    /// systemd by its unique bus name: signals of other senders are ignored.
    systemd: ManagerProxy<'static>,
    owner: OwnedUniqueName,
    owners: NameOwnerChangedStream,
    removed: JobRemovedStream,
    jobs: BTreeMap<String, Waiting>,
    /// Ends of jobs that came before their acceptance.
    ended: VecDeque<(String, String)>,
    /// Tasks that request jobs.
    asking: JoinSet<Asked>,
    /// Tasks that follow units.
    following: JoinSet<()>,
}

/// Answer to the request of a job: the path of the job, or an error.
struct Asked {
    waiting: Waiting,
    accepted: Result<OwnedObjectPath, Failure>,
}

/// Request of a pending job.
struct Waiting {
    verb: Verb,
    unit: Arc<str>,
    answer: oneshot::Sender<Outcome>,
}

impl Connection {
    /// Serves requests until all handles are dropped.
    async fn run(mut self) {
        let mut pause = Pause::default();
        let mut again = Instant::now();
        loop {
            // Requests that came without a connection.
            let mut backlog = Vec::new();
            let request = async {
                if self.watched.is_empty() {
                    return self.requests.recv().await.map(Some);
                }
                tokio::select! {
                    request = self.requests.recv() => request.map(Some),
                    () = sleep_until(again) => Some(None),
                }
            };
            match request.await {
                None => return,
                Some(request) => backlog.extend(request),
            }
            let began = Instant::now();
            again = began + pause.next();
            match in_time(PATIENCE, Session::open(&self.address)).await {
                Ok(session) => {
                    if self.serve(session, backlog).await.is_none() {
                        return;
                    }
                    if began.elapsed() > Pause::LONGEST {
                        pause = Pause::default();
                        again = Instant::now();
                    }
                }
                Err(failure) => {
                    let why = format!(
                        "cannot reach systemd over D-Bus ({}): {failure}; is dbus running, and is this a \
                         host with systemd?",
                        self.address
                    );
                    self.refuse(backlog, &why.into());
                }
            }
            self.forget_unwatched();
        }
    }

    /// Serves requests on one connection until it ends; returns `None` when all handles are
    /// dropped.
    async fn serve(&mut self, mut session: Session, backlog: Vec<Request>) -> Option<()> {
        for (unit, states) in &self.watched {
            session.follow(unit, states);
        }
        for request in backlog {
            self.begin(&mut session, request);
        }
        loop {
            tokio::select! {
                // Arrived messages first, then further requests.
                biased;
                removed = session.removed.next() => match removed {
                    Some(removed) => {
                        if let Ok(end) = removed.args() {
                            session.end(&end.job, end.result);
                        }
                    }
                    None => {
                        session.lose("the bus was restarted");
                        return Some(());
                    }
                },
                changed = session.owners.next() => {
                    match changed {
                        None => session.lose("the bus was restarted"),
                        // The signal was sent before the owner was read.
                        Some(changed) if session.is_of(&changed) => continue,
                        Some(_) => session.lose("systemd was restarted"),
                    }
                    return Some(());
                },
                Some(Ok(asked)) = session.asking.join_next() => session.accepted(asked),
                Some(_) = session.following.join_next() => {}
                request = self.requests.recv() => self.begin(&mut session, request?),
            }
        }
    }

    fn begin(&mut self, session: &mut Session, request: Request) {
        match request {
            Request::Job { verb, unit, answer } => session.demand(Waiting { verb, unit, answer }),
            Request::Watch { unit, answer } => {
                if let Some(states) = self.watch(&unit, answer) {
                    session.follow(&unit, states);
                }
            }
        }
    }

    /// Adds a watcher of a unit. Returns the sender of its state, if the unit was not watched
    /// before.
    fn watch(&mut self, unit: &Arc<str>, answer: oneshot::Sender<States>) -> Option<&Watched> {
        self.forget_unwatched();
        let is_new = !self.watched.contains_key(unit);
        let states = self
            .watched
            .entry(Arc::clone(unit))
            .or_insert_with(|| Arc::new(watch::channel(None).0));
        // The caller may have dropped its future.
        let _ = answer.send(states.subscribe());
        is_new.then_some(states)
    }

    fn forget_unwatched(&mut self) {
        self.watched.retain(|_, states| !states.is_closed());
    }

    fn refuse(&mut self, backlog: Vec<Request>, why: &Arc<str>) {
        for request in backlog {
            match request {
                Request::Job { answer, .. } => {
                    let _ = answer.send(Outcome::Lost(Arc::clone(why)));
                }
                Request::Watch { unit, answer } => {
                    self.watch(&unit, answer);
                }
            }
        }
        for states in self.watched.values() {
            set(states, UnitState::Unknown(Arc::clone(why)));
        }
    }
}

impl Session {
    /// Connects to the bus at `address`, waits for systemd if it is restarting, and subscribes to
    /// its signals.
    async fn open(address: &str) -> Result<Self, Failure> {
        let connection = Builder::address(address).build().await?;
        let bus = DBusProxy::new(&connection).await?;
        let mut owners = bus
            .receive_name_owner_changed_with_args(&[(0, SYSTEMD)])
            .await?;
        let owner = match bus.get_name_owner(SYSTEMD.try_into()?).await {
            Err(fdo::Error::NameHasNoOwner(_)) => first(&mut owners).await?,
            owner => owner?,
        };
        let systemd = ManagerProxy::builder(&connection)
            .destination(owner.clone())
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        match systemd.subscribe().await.map_err(Failure::from) {
            Err(Failure::Refused { name, .. }) if name.ends_with(".AlreadySubscribed") => {}
            other => other?,
        }
        Ok(Self {
            // Unread signals block the whole connection: from here on no reply is awaited in this
            // task.
            removed: systemd.receive_job_removed().await?,
            systemd,
            owner,
            owners,
            jobs: BTreeMap::new(),
            ended: VecDeque::new(),
            asking: JoinSet::new(),
            following: JoinSet::new(),
        })
    }

    /// Whether a change of the owner of systemd's name sets the owner that is already known.
    fn is_of(&self, changed: &NameOwnerChanged) -> bool {
        let Ok(changed) = changed.args() else {
            return false;
        };
        changed.new_owner().as_ref() == Some(&*self.owner)
    }

    /// Requests a job.
    fn demand(&mut self, waiting: Waiting) {
        let systemd = self.systemd.clone();
        self.asking.spawn(async move {
            let unit = &*waiting.unit;
            let accepted = match waiting.verb {
                Verb::Start => in_time(ACCEPTANCE, systemd.start_unit(unit, "replace")).await,
                Verb::Stop => in_time(ACCEPTANCE, systemd.stop_unit(unit, "replace")).await,
            };
            Asked { waiting, accepted }
        });
    }

    /// Takes in the answer to the request of a job.
    fn accepted(&mut self, asked: Asked) {
        let Asked { waiting, accepted } = asked;
        match accepted {
            Ok(path) => {
                let ended = self
                    .ended
                    .iter()
                    .position(|(ended, _)| *ended == path.as_str());
                match ended.and_then(|index| self.ended.remove(index)) {
                    Some((_, result)) => waiting.end(&result),
                    None => {
                        // Two requests for the same job get the same path.
                        let key = (0..).map(|n| format!("{path}#{n}"));
                        let free = key.into_iter().find(|key| !self.jobs.contains_key(key));
                        self.jobs.extend(free.map(|key| (key, waiting)));
                    }
                }
            }
            Err(failure) => waiting.refuse(&failure),
        }
    }

    /// Takes in the end of a job.
    fn end(&mut self, path: &str, result: &str) {
        let of_path = |key: &String| key.rsplit_once('#').is_some_and(|(of, _)| of == path);
        let keys: Vec<String> = self
            .jobs
            .keys()
            .filter(|key| of_path(key))
            .cloned()
            .collect();
        if keys.is_empty() {
            if self.ended.len() == REMEMBERED {
                self.ended.pop_front();
            }
            self.ended.push_back((path.to_owned(), result.to_owned()));
        }
        for waiting in keys.iter().filter_map(|key| self.jobs.remove(key)) {
            waiting.end(result);
        }
    }

    /// Reports all pending jobs as lost, because their ends will be missed.
    fn lose(&mut self, why: &str) {
        for (_, waiting) in std::mem::take(&mut self.jobs) {
            waiting.tell(Outcome::Lost(why.into()));
        }
    }

    /// Starts a task that follows the state of a unit.
    fn follow(&mut self, unit: &Arc<str>, states: &Watched) {
        let systemd = self.systemd.clone();
        let (unit, states) = (Arc::clone(unit), Arc::clone(states));
        self.following.spawn(async move {
            tokio::select! {
                () = states.closed() => {}
                () = follow(&systemd, &unit, &states) => {}
            }
        });
    }
}

impl Waiting {
    fn end(self, result: &str) {
        let outcome = outcome(self.verb, &self.unit, result);
        self.tell(outcome);
    }

    fn refuse(self, failure: &Failure) {
        let outcome = refusal(self.verb, &self.unit, failure);
        self.tell(outcome);
    }

    fn tell(self, outcome: Outcome) {
        // The caller may have dropped its future.
        let _ = self.answer.send(outcome);
    }
}

/// Follows the state of a unit until the connection ends.
async fn follow(systemd: &ManagerProxy<'static>, unit: &str, states: &Watched) {
    let mut pause = Pause::default();
    loop {
        match follow_closely(systemd, unit, states).await {
            // The next connection reads the state again.
            Ok(()) | Err(Failure::Gone(_)) => return,
            Err(failure) => {
                let why = format!("cannot read its state from systemd: {failure}");
                set(states, UnitState::Unknown(why.into()));
                sleep(pause.next()).await;
            }
        }
    }
}

/// Follows the state of a unit until the connection ends or a request fails.
async fn follow_closely(
    systemd: &ManagerProxy<'static>,
    unit: &str,
    states: &Watched,
) -> Result<(), Failure> {
    let path = in_time(PATIENCE, systemd.load_unit(unit)).await?;
    let properties = PropertiesProxy::builder(systemd.inner().connection())
        .destination(systemd.inner().destination())
        .path(path)
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    let changes = properties.receive_properties_changed();
    let mut changes = in_time(PATIENCE, changes).await?;
    loop {
        let Some(state) = ask(&properties, &mut changes).await? else {
            return Ok(());
        };
        set(states, state);
        loop {
            let Some(change) = changes.next().await else {
                return Ok(());
            };
            let Ok(change) = change.args() else {
                continue;
            };
            if change.interface_name == UNIT {
                match state_of(|key| change.changed_properties.get(key)) {
                    Some(state) => set(states, state),
                    None => break,
                }
            }
        }
    }
}

/// Reads the state of a unit, as it is after all `changes` so far; `None` when the connection ends.
async fn ask(
    properties: &PropertiesProxy<'_>,
    changes: &mut PropertiesChangedStream,
) -> Result<Option<UnitState>, Failure> {
    loop {
        let asking = in_time(PATIENCE, properties.get_all(UNIT));
        tokio::pin!(asking);
        let mut has_changed = false;
        let answer = loop {
            tokio::select! {
                // Changes that came before the answer are taken first.
                biased;
                change = changes.next() => match change {
                    Some(_) => has_changed = true,
                    None => return Ok(None),
                },
                answer = &mut asking => break answer?,
            }
        };
        // After a change it is unknown which of the two is newer: read again.
        if !has_changed {
            let silent = || UnitState::Unknown("systemd reports no ActiveState".into());
            return Ok(Some(
                state_of(|key| answer.get(key).map(|value| &**value)).unwrap_or_else(silent),
            ));
        }
    }
}

/// Waits until systemd has its bus name.
async fn first(owners: &mut NameOwnerChangedStream) -> Result<OwnedUniqueName, Failure> {
    while let Some(changed) = owners.next().await {
        if let Some(owner) = &*changed.args()?.new_owner {
            return Ok(owner.to_owned().into());
        }
    }
    Err(Failure::Gone("the bus closed the connection".to_owned()))
}

/// Failure of a request.
#[derive(Debug)]
enum Failure {
    /// The request was answered by an error.
    Refused {
        /// Name of the error.
        name: String,
        /// Text of the error.
        text: String,
    },
    /// The request was not answered, or the answer is malformed.
    Unanswered(String),
    /// The connection ended, or there was none.
    Gone(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { name, text } if text.is_empty() => f.write_str(name),
            Self::Refused { text, .. } => f.write_str(text.trim_end_matches('.')),
            Self::Unanswered(text) | Self::Gone(text) => f.write_str(text),
        }
    }
}

impl From<zbus::Error> for Failure {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the text of any other error describes it"
    )]
    fn from(error: zbus::Error) -> Self {
        match error {
            zbus::Error::MethodError(name, text, _) => Self::Refused {
                name: name.to_string(),
                text: text.unwrap_or_default(),
            },
            zbus::Error::FDO(error) => (*error).into(),
            zbus::Error::Connection(error, _) | zbus::Error::InputOutput(error) => {
                Self::Gone(error.to_string())
            }
            other => Self::Unanswered(other.to_string()),
        }
    }
}

impl From<fdo::Error> for Failure {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the text of any other error describes it"
    )]
    fn from(error: fdo::Error) -> Self {
        match error {
            fdo::Error::ZBus(error) => error.into(),
            error => Self::Refused {
                name: error.name().to_string(),
                text: error.description().unwrap_or_default().to_owned(),
            },
        }
    }
}

/// Waits for an answer, at most `longest`.
async fn in_time<T, E: Into<Failure>>(
    longest: Duration,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    match timeout(longest, answer).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => {
            let seconds = longest.as_secs();
            Err(Failure::Unanswered(format!("no answer within {seconds} s")))
        }
    }
}

/// Delay before the next attempt, doubled each time.
#[derive(Debug)]
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Self::SHORTEST)
    }
}

impl Pause {
    const SHORTEST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(10);

    fn next(&mut self) -> Duration {
        let longer = (self.0 * 2).min(Self::LONGEST);
        std::mem::replace(&mut self.0, longer)
    }
}

fn set(states: &Watched, state: UnitState) {
    states.send_if_modified(|known| {
        let state = Some(state);
        let is_news = *known != state;
        *known = state;
        is_news
    });
}

/// Meaning of a job's result (org.freedesktop.systemd1(5), `JobRemoved`).
fn outcome(verb: Verb, unit: &str, result: &str) -> Outcome {
    let see = format!("see journalctl -u {unit}");
    Outcome::Failed(
        match (result, verb) {
            ("done", _) => return Outcome::Done,
            ("failed", Verb::Start) => format!("start failed; {see}"),
            ("failed", Verb::Stop) => format!("stop failed; {see}"),
            ("timeout", _) => format!("systemd's timeout (Timeout…Sec=) expired; {see}"),
            ("canceled", _) => {
                "another job of the unit replaced this one; see systemctl list-jobs".to_owned()
            }
            ("dependency", _) => {
                format!("a required unit failed; see systemctl list-dependencies {unit}")
            }
            ("skipped", _) => format!("the job does not apply to the unit's present state; {see}"),
            ("assert", _) => format!("an assertion of the unit failed (Assert…=); {see}"),
            ("unsupported", _) => "this host does not support units of this type".to_owned(),
            (other, _) => format!("the job ended with \"{other}\"; {see}"),
        }
        .into(),
    )
}

/// Meaning of an error in answer to the request of a job.
fn refusal(verb: Verb, unit: &str, failure: &Failure) -> Outcome {
    let name = match failure {
        Failure::Refused { name, text: _ } => name,
        Failure::Unanswered(_) => return Outcome::Lost(format!("systemd: {failure}").into()),
        Failure::Gone(_) => {
            return Outcome::Lost(format!("connection to the bus lost: {failure}").into());
        }
    };
    let kind = name.rsplit_once('.').map_or(&**name, |(_, kind)| kind);
    let remedy = match (kind, verb) {
        // A unit that does not exist does not run.
        ("NoSuchUnit", Verb::Stop) => return Outcome::Done,
        ("NoSuchUnit", Verb::Start) => format!("check systemctl cat {unit}"),
        ("AccessDenied" | "InteractiveAuthorizationRequired" | "AuthFailed", _) => {
            let verb = match verb {
                Verb::Start => "start",
                Verb::Stop => "stop",
            };
            let user = nix::unistd::geteuid();
            format!(
                "user {user} needs a polkit rule for org.freedesktop.systemd1.manage-units, unit {unit}, \
                 verb {verb}"
            )
        }
        ("UnitMasked", _) => format!("systemctl unmask {unit}"),
        ("NoReply" | "Disconnected" | "ServiceUnknown" | "NameHasNoOwner" | "TimedOut", _) => {
            return Outcome::Lost(failure.to_string().into());
        }
        ("TransactionIsDestructive", _) => "the host is being shut down".to_owned(),
        _ => format!("see systemctl status {unit}"),
    };
    Outcome::Failed(format!("{failure}; {remedy}").into())
}

/// State of a unit by its properties, if they contain it (org.freedesktop.systemd1(5),
/// `ActiveState`).
fn state_of<'a>(property: impl Fn(&str) -> Option<&'a Variant<'a>>) -> Option<UnitState> {
    let text = |key: &str| <&str>::try_from(property(key)?).ok();
    let active = text("ActiveState")?;
    let words: Arc<str> = match (text("LoadState"), text("SubState")) {
        (Some("not-found"), _) if active == "inactive" => "there is no such unit".into(),
        (_, Some(sub)) => format!("{active} ({sub})").into(),
        (_, None) => active.into(),
    };
    let has_job = match property("Job") {
        Some(Variant::Structure(job)) => job.fields().first() != Some(&Variant::U32(0)),
        _ => false,
    };
    Some(match active {
        "active" | "reloading" | "refreshing" => UnitState::Active,
        "activating" if text("SubState").is_some_and(|sub| sub.starts_with("auto-restart")) => {
            UnitState::Restarting(words)
        }
        "activating" => UnitState::Changing(words),
        // A job is about to restart the unit.
        _ if has_job => UnitState::Changing(words),
        _ => UnitState::Ended(words),
    })
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
