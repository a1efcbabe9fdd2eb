//! The units of systemd: jobs and states, over the system's bus (org.freedesktop.systemd1(5)).
//!
//! One task holds the connection, and makes a new one when the bus or systemd was restarted (`systemctl
//! daemon-reexec`); nothing is connected before somebody asks. A job is asked for with mode `replace`, and
//! its end is what the signal `JobRemoved` says. How a unit is comes with the signal `PropertiesChanged`, to
//! a task for each unit; nobody polls. With the connection the jobs are lost whose end may be missed, which
//! whoever wanted them hears, and of every unit it is asked anew how it is.

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

/// Where the bus of the system is, unless the environment says otherwise (D-Bus specification, "Well-known
/// Message Bus Instances").
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// How long connecting may take, and a question that systemd answers at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it may take until a job is accepted or refused: somebody may have to be asked who may do what.
const ACCEPTANCE: Duration = Duration::from_secs(30);

/// How many ends of jobs are remembered, which may come before it is known whose they are.
const REMEMBERED: usize = 1024;

/// systemd itself.
#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    fn subscribe(&self) -> zbus::Result<()>;
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

/// The address of the system's bus.
pub(crate) fn system_address() -> String {
    match std::env::var("DBUS_SYSTEM_BUS_ADDRESS") {
        Ok(address) if !address.is_empty() => address,
        _ => SYSTEM_BUS.to_owned(),
    }
}

/// The way to systemd. Clones lead to the same connection.
#[derive(Clone, Debug)]
pub(crate) struct Units(UnboundedSender<Request>);

/// How a unit is, once that is known, and so on.
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
    /// The way to the systemd behind the bus at `address`.
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

    /// Has systemd do something, and waits for the end of it. It goes on when nobody waits any more.
    pub(crate) async fn job(&self, verb: Verb, unit: Arc<str>) -> Outcome {
        let (answer, outcome) = oneshot::channel();
        let _ = self.0.send(Request::Job { verb, unit, answer });
        let gone = || Outcome::Lost("the connection to systemd ended".into());
        outcome.await.unwrap_or_else(|_| gone())
    }

    /// How a unit is from now on. It is watched as long as somebody has what this returns.
    pub(crate) async fn watch(&self, unit: Arc<str>) -> Option<States> {
        let (answer, states) = oneshot::channel();
        let _ = self.0.send(Request::Watch { unit, answer });
        states.await.ok()
    }
}

/// Holds the connection.
struct Connection {
    address: String,
    requests: UnboundedReceiver<Request>,
    watched: BTreeMap<Arc<str>, Watched>,
}

/// Where it is told how a unit is.
type Watched = Arc<watch::Sender<Option<UnitState>>>;

/// One connection to one systemd, and all that is to be forgotten with either.
struct Session {
    /// systemd by the name that is only this one's: nobody else is believed.
    systemd: ManagerProxy<'static>,
    owner: OwnedUniqueName,
    owners: NameOwnerChangedStream,
    removed: JobRemovedStream,
    jobs: BTreeMap<String, Waiting>,
    /// Ends of jobs of which it is not known yet whose they are.
    ended: VecDeque<(String, String)>,
    /// Those who ask for jobs.
    asking: JoinSet<Asked>,
    /// Those who follow units.
    following: JoinSet<()>,
}

/// systemd accepted a job, which has this path, or did not.
struct Asked {
    waiting: Waiting,
    accepted: Result<OwnedObjectPath, Failure>,
}

/// Somebody who waits for the end of a job.
struct Waiting {
    verb: Verb,
    unit: Arc<str>,
    answer: oneshot::Sender<Outcome>,
}

impl Connection {
    /// Serves until nobody can ask any more.
    async fn run(mut self) {
        let mut pause = Pause::default();
        let mut again = Instant::now();
        loop {
            // What is asked for while there is no connection.
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

    /// Serves with one connection until that ends; nothing when nobody can ask any more.
    async fn serve(&mut self, mut session: Session, backlog: Vec<Request>) -> Option<()> {
        for (unit, states) in &self.watched {
            session.follow(unit, states);
        }
        for request in backlog {
            self.begin(&mut session, request);
        }
        loop {
            tokio::select! {
                // What has come is taken in before more is asked for.
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
                        // It was on its way when the owner was asked for.
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

    /// Lets somebody watch a unit. Returns where it is to be told how it is, if nobody else watches it.
    fn watch(&mut self, unit: &Arc<str>, answer: oneshot::Sender<States>) -> Option<&Watched> {
        self.forget_unwatched();
        let is_new = !self.watched.contains_key(unit);
        let states = self
            .watched
            .entry(Arc::clone(unit))
            .or_insert_with(|| Arc::new(watch::channel(None).0));
        // Whoever asked may have gone away.
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
    /// Connects to the bus at `address`, waits for systemd if it is just being restarted, and asks it to
    /// send signals at all.
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
            // What is not read holds up everything else, so nobody waits for anything from here on.
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

    /// Whether a change of the owner of systemd's name says who that is.
    fn is_of(&self, changed: &NameOwnerChanged) -> bool {
        let Ok(changed) = changed.args() else {
            return false;
        };
        changed.new_owner().as_ref() == Some(&*self.owner)
    }

    /// Asks for a job.
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

    /// systemd accepted a job, or did not.
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
                        // Two who want the same have the same job.
                        let key = (0..).map(|n| format!("{path}#{n}"));
                        let free = key.into_iter().find(|key| !self.jobs.contains_key(key));
                        self.jobs.extend(free.map(|key| (key, waiting)));
                    }
                }
            }
            Err(failure) => waiting.refuse(&failure),
        }
    }

    /// A job has ended.
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

    /// Nobody will hear of the ends of jobs any more.
    fn lose(&mut self, why: &str) {
        for (_, waiting) in std::mem::take(&mut self.jobs) {
            waiting.tell(Outcome::Lost(why.into()));
        }
    }

    /// Has a task follow a unit.
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
        // Whoever asked may have gone away.
        let _ = self.answer.send(outcome);
    }
}

/// Tells how a unit is until the connection ends.
async fn follow(systemd: &ManagerProxy<'static>, unit: &str, states: &Watched) {
    let mut pause = Pause::default();
    loop {
        match follow_closely(systemd, unit, states).await {
            // The next connection asks again.
            Ok(()) | Err(Failure::Gone(_)) => return,
            Err(failure) => {
                let why = format!("systemd does not say how it is: {failure}");
                set(states, UnitState::Unknown(why.into()));
                sleep(pause.next()).await;
            }
        }
    }
}

/// Tells how a unit is until the connection ends, or a question is not answered.
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

/// How a unit is after all `changes` so far; nothing when the connection ends.
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
                // What came before the answer is taken before it.
                biased;
                change = changes.next() => match change {
                    Some(_) => has_changed = true,
                    None => return Ok(None),
                },
                answer = &mut asking => break answer?,
            }
        };
        // Else nobody knows which of the two is newer.
        if !has_changed {
            let silent = || UnitState::Unknown("systemd does not say how it is".into());
            return Ok(Some(
                state_of(|key| answer.get(key).map(|value| &**value)).unwrap_or_else(silent),
            ));
        }
    }
}

/// Waits until systemd is there.
async fn first(owners: &mut NameOwnerChangedStream) -> Result<OwnedUniqueName, Failure> {
    while let Some(changed) = owners.next().await {
        if let Some(owner) = &*changed.args()?.new_owner {
            return Ok(owner.to_owned().into());
        }
    }
    Err(Failure::Gone("it closed the connection".to_owned()))
}

/// Why there is no answer, or what the answer is when it is an error.
#[derive(Debug)]
enum Failure {
    /// The answer is that it failed.
    Refused {
        /// The name of the error.
        name: String,
        /// In words.
        text: String,
    },
    /// The answer did not come, or makes no sense.
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
        reason = "whatever else there is and will be says it in its text"
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
        reason = "whatever else there is and will be says it in its text"
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

/// Waits for an answer for so long.
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

/// The time until what failed is tried again, which doubles each time.
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

/// What the result of a job means (org.freedesktop.systemd1(5), `JobRemoved`).
fn outcome(verb: Verb, unit: &str, result: &str) -> Outcome {
    let see = format!("see journalctl -u {unit}");
    Outcome::Failed(
        match (result, verb) {
            ("done", _) => return Outcome::Done,
            ("failed", Verb::Start) => format!("its start failed; {see}"),
            ("failed", Verb::Stop) => format!("its stop failed; {see}"),
            ("timeout", _) => format!("systemd's own limit of time (Timeout…Sec=) ended it; {see}"),
            ("canceled", _) => {
                "somebody else wanted something else of it meanwhile; see systemctl list-jobs"
                    .to_owned()
            }
            ("dependency", _) => {
                format!("a unit that it requires failed; see systemctl list-dependencies {unit}")
            }
            ("skipped", _) => format!("systemd found nothing to do for it as it is; {see}"),
            ("assert", _) => format!("an assertion in its file does not hold (Assert…=); {see}"),
            ("unsupported", _) => "this host has no units of that type".to_owned(),
            (other, _) => format!("its job ended with \"{other}\"; {see}"),
        }
        .into(),
    )
}

/// What it means that systemd did not accept a job.
fn refusal(verb: Verb, unit: &str, failure: &Failure) -> Outcome {
    let name = match failure {
        Failure::Refused { name, text: _ } => name,
        Failure::Unanswered(_) => return Outcome::Lost(format!("systemd: {failure}").into()),
        Failure::Gone(_) => return Outcome::Lost(format!("the bus is gone: {failure}").into()),
    };
    let kind = name.rsplit_once('.').map_or(&**name, |(_, kind)| kind);
    let remedy = match (kind, verb) {
        // What does not exist does not run.
        ("NoSuchUnit", Verb::Stop) => return Outcome::Done,
        ("NoSuchUnit", Verb::Start) => format!("systemctl cat {unit} must show it"),
        ("AccessDenied" | "InteractiveAuthorizationRequired" | "AuthFailed", _) => {
            let verb = match verb {
                Verb::Start => "start",
                Verb::Stop => "stop",
            };
            let user = nix::unistd::geteuid();
            format!(
                "user {user} needs a rule of polkit for org.freedesktop.systemd1.manage-units, unit {unit}, \
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

/// How a unit is by its properties, if they say so (org.freedesktop.systemd1(5), `ActiveState`).
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
        // Somebody restarts it.
        _ if has_job => UnitState::Changing(words),
        _ => UnitState::Ended(words),
    })
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
