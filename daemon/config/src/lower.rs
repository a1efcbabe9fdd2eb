//! From the words of the configuration to the parameters of the engine.
//!
//! Each function here gives `None` only if it, or the reader before it, has reported why. It looks
//! at all parts before it gives up on one, so that one problem does not hide another.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use vrrp_proto::params::{
    AddressOptions, Announcements, Effect, NodeParams, RouterParams, Track, TrackerKind,
    TrackerParams, VirtualMac,
};
use vrrp_proto::wire::most_addresses;
use vrrp_proto::{AdvertInterval, Family, InterfaceAddress, Password, Version};

use crate::address::Entry;
use crate::duration::Span;
use crate::given::Given;
use crate::model::{
    Announce, Authentication, Config, Follow, InitialState, Instance, Pass, TrackedScript, Tracker,
};
use crate::problem::{Findings, Path};
use crate::value::Whole;
use crate::virtual_mac::{SendFrom, UseVirtualMac};
use crate::{Script, secret::PasswordFile};

/// A configuration in the engine's words, and what only the daemon needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lowered {
    pub(crate) node: NodeParams,
    pub(crate) scripts: BTreeMap<Arc<str>, Script>,
    /// Passwords that stand in files of their own and are yet to be read.
    pub(crate) password_files: Vec<PasswordFile>,
    /// Passwords that stand in the configuration itself.
    pub(crate) open_passwords: Vec<Path>,
}

/// Shortest and longest time between two runs of a script, and for one run.
const SCRIPT_TIME: (Span, Span) = (
    Span(Duration::from_millis(10)),
    Span(Duration::from_secs(24 * 60 * 60)),
);

/// As many addresses as an instance may hold, advertised or not: what a take-over can do in a few
/// hundredths of a second.
const MOST_ADDRESSES: usize = 4096;

/// The virtual addresses of an instance, and what is special about some of them.
type Addresses = (Arc<[InterfaceAddress]>, BTreeMap<IpAddr, AddressOptions>);

/// How long a take-over or a second announcement may be put off.
const DELAY: (Span, Span) = (Span(Duration::ZERO), Span(Duration::from_secs(1000)));

/// Shortest and longest time between two announcements that nothing but time demands.
const REFRESH: (Span, Span) = (Span::SECOND, Span(Duration::from_secs(24 * 60 * 60)));

/// Lowers the whole configuration.
pub(crate) fn lower(config: &Config, findings: &mut Findings) -> Option<Lowered> {
    let mut lowering = Lowering {
        findings,
        lowered: Lowered::default(),
    };
    let root = Path::default();
    let trackers = named(&config.trackers, |name, tracker| {
        let path = root.key("trackers").key(name);
        lowering.name(&path, name);
        lowering.tracker(&path, name, tracker.value()?)
    });
    let routers = named(&config.instances, |name, instance| {
        let path = root.key("instances").key(name);
        lowering.name(&path, name);
        lowering.router(&path, name, instance.value()?)
    });
    let node = NodeParams {
        routers: routers?,
        trackers: trackers?,
    };
    Some(Lowered {
        node,
        ..lowering.lowered
    })
}

/// Lowers each of `entries`; `None` if any fails, but not before all were looked at.
fn named<T, P>(
    entries: &Given<BTreeMap<String, T>>,
    mut lower: impl FnMut(&str, &T) -> Option<P>,
) -> Option<BTreeMap<Arc<str>, P>> {
    all(entries
        .value()?
        .iter()
        .map(|(name, entry)| Some((name.as_str().into(), lower(name, entry)?))))
}

/// Collects all of `items`, or nothing if one is missing; unlike `collect` alone it asks for each.
fn all<T, C: FromIterator<T>>(items: impl Iterator<Item = Option<T>>) -> Option<C> {
    let items: Vec<_> = items.collect();
    items.into_iter().collect()
}

struct Lowering<'f> {
    findings: &'f mut Findings,
    lowered: Lowered,
}

impl Lowering<'_> {
    /// Names stand in logs, metrics and commands: no surprises in them.
    fn name(&mut self, path: &Path, name: &str) {
        let sane = |c: char| c.is_ascii_alphanumeric() || "_-.:@".contains(c);
        if name.len() > 64
            || !name.chars().all(sane)
            || name.is_empty()
            || name.starts_with(['-', '.', ':', '@'])
        {
            self.findings.add(
                path,
                "a name must be 1 to 64 letters, digits and _-.:@, and begin with a letter, a digit or _",
            );
        }
    }

    fn tracker(&mut self, path: &Path, name: &str, tracker: &Tracker) -> Option<TrackerParams> {
        match tracker {
            Tracker::Script(script) => self.script(&path.key("script"), name, script),
            Tracker::Interface(interface) => {
                let path = path.key("interface").key("name");
                let name = interface
                    .name
                    .required(&path, r#""name": "eth2""#, self.findings)?;
                let kind = TrackerKind::Interface {
                    name: name.0.clone(),
                };
                Some(TrackerParams {
                    kind,
                    rise: 1,
                    fall: 1,
                })
            }
        }
    }

    fn script(&mut self, path: &Path, name: &str, script: &TrackedScript) -> Option<TrackerParams> {
        let command = self.command(&path.key("command"), &script.command);
        let interval = self.script_time(&path.key("interval"), &script.interval);
        let timeout = match &script.timeout {
            Given::Absent => script.default_timeout(),
            given @ (Given::Wrong | Given::Value(_)) => {
                self.script_time(&path.key("timeout"), given)
            }
        };
        let user = self.user(&path.key("user"), &script.user);
        let (rise, fall) = (script.rise.value(), script.fall.value());

        let definition = Script {
            command: command?,
            interval: interval?,
            timeout: timeout?,
            user: user?,
        };
        let kind = TrackerKind::Probe {
            definition: definition.canonical().into(),
            interval: definition.interval,
        };
        self.lowered.scripts.insert(name.into(), definition);
        Some(TrackerParams {
            kind,
            rise: rise?.0.0,
            fall: fall?.0.0,
        })
    }

    fn command(&mut self, path: &Path, command: &Given<Vec<Given<String>>>) -> Option<Vec<String>> {
        let words = command.required(path, r#""command": ["/path/to/program"]"#, self.findings)?;
        match words.first() {
            None => {
                self.findings
                    .add(path, "must not be empty: the first element is the program");
                return None;
            }
            Some(Given::Value(program)) if !program.starts_with('/') => {
                self.findings.add(
                    &path.index(0),
                    "the program must be an absolute path, like /usr/local/bin/check",
                );
            }
            Some(_) => {}
        }
        all(words.iter().enumerate().map(|(index, word)| {
            let word = word.value()?;
            if word.contains('\0') {
                self.findings
                    .add(&path.index(index), "must not contain a NUL character");
            }
            Some(word.clone())
        }))
    }

    fn script_time(&mut self, path: &Path, span: &Given<Span>) -> Option<Duration> {
        let span = span.value()?;
        let (least, most) = SCRIPT_TIME;
        if (least..=most).contains(span) {
            return Some(span.0);
        }
        self.findings.add(path, format!("must be {least} to 24h"));
        None
    }

    fn user(&mut self, path: &Path, user: &Given<String>) -> Option<Option<String>> {
        let user = user.optional()?;
        let sane = |c: char| c.is_ascii_alphanumeric() || "_-.$".contains(c);
        if user
            .is_some_and(|user| user.is_empty() || user.starts_with('-') || !user.chars().all(sane))
        {
            self.findings
                .add(path, "must be the name of a user, like \"nobody\"");
        }
        Some(user.cloned())
    }

    fn router(&mut self, path: &Path, name: &str, instance: &Instance) -> Option<RouterParams> {
        let interface = instance.interface.required(
            &path.key("interface"),
            r#""interface": "eth0""#,
            self.findings,
        );
        let vrid = instance.virtual_router_id.required(
            &path.key("virtualRouterId"),
            r#""virtualRouterId": 51, the number that all hosts of this virtual router share"#,
            self.findings,
        );
        let interval = self.interval(&path.key("advertInterval"), instance);
        let password = self.password(&path.key("authentication"), name, &instance.authentication);
        let addresses = self.addresses(&path.key("virtualAddresses"), &instance.virtual_addresses);
        let preempt_delay = self.delay(&path.key("preemptDelay"), &instance.preempt_delay);
        let startup_delay = self.delay(&path.key("startupDelay"), &instance.startup_delay);
        let announce = self.announce(&path.key("announce"), &instance.announce);
        let tracks = instance.track.value().and_then(|track| {
            all(track.iter().enumerate().map(|(index, follow)| {
                self.track(&path.key("track").index(index), follow.value()?)
            }))
        });
        let source = instance.source.optional()?;
        let sends = match instance.virtual_mac.optional()? {
            None | Some(UseVirtualMac::No) => None,
            Some(UseVirtualMac::Yes { send_from }) => Some(*send_from.value()?),
        };
        let virtual_mac = sends.map(|from| {
            let sends = from == SendFrom::Virtual;
            Some(VirtualMac::new(&interface?.0, vrid?.0, sends))
        });
        let virtual_mac = virtual_mac.map_or(Some(None), |lowered| lowered.map(Some))?;
        let (addresses, options) = addresses?;
        Some(RouterParams {
            version: instance.version.value()?.0,
            priority: instance.priority.value()?.0,
            interval: interval?,
            preempt: *instance.preempt.value()?,
            preempt_delay: preempt_delay?,
            startup_delay: startup_delay?,
            announce: announce?,
            expect_master: *instance.state.value()? == InitialState::Master,
            password: password?,
            tracks: tracks?,
            options: Arc::new(options),
            source: source.map(|source| source.0),
            virtual_mac,
            ..RouterParams::new(interface?.0.clone(), vrid?.0, addresses)
        })
    }

    fn delay(&mut self, path: &Path, span: &Given<Span>) -> Option<Duration> {
        let span = span.value()?;
        let (least, most) = DELAY;
        if (least..=most).contains(span) {
            return Some(span.0);
        }
        self.findings.add(path, format!("must be 0 to {most}"));
        None
    }

    fn announce(&mut self, path: &Path, announce: &Given<Announce>) -> Option<Announcements> {
        let Some(announce) = announce.optional()? else {
            return Some(Announcements::DEFAULT);
        };
        let delay = self.delay(&path.key("delay"), &announce.delay);
        let refresh = self.refresh(&path.key("refresh"), &announce.refresh);
        Some(Announcements {
            burst: announce.burst.value()?.0.0,
            delay: delay?,
            refresh: refresh?,
            on_lower_priority: *announce.on_lower_priority.value()?,
            pace: announce.pace.value()?.0.0,
        })
    }

    fn refresh(&mut self, path: &Path, span: &Given<Span>) -> Option<Duration> {
        let span = span.value()?;
        let (least, most) = REFRESH;
        if span.0.is_zero() || (least..=most).contains(span) {
            return Some(span.0);
        }
        self.findings
            .add(path, format!("must be {least} to 24h, or 0 for never"));
        None
    }

    fn interval(&mut self, path: &Path, instance: &Instance) -> Option<AdvertInterval> {
        let span = instance.advert_interval.value()?;
        let Whole(version) = *instance.version.value()?;
        let interval = AdvertInterval::exact(version, span.0);
        if interval.is_none() {
            self.findings.add(
                path,
                match version {
                    Version::V2 => {
                        "version 2 counts in whole seconds: must be 1s to 255s; shorter ones need version 3"
                    }
                    Version::V3 => {
                        "version 3 counts in hundredths of a second: must be 10ms to 40.95s in steps of 10ms"
                    }
                },
            );
        }
        interval
    }

    /// The password, if there is one and if it stands here; else its file is remembered.
    fn password(
        &mut self,
        path: &Path,
        instance: &str,
        authentication: &Given<Authentication>,
    ) -> Option<Option<Password>> {
        let Some(Authentication::Pass(pass)) = authentication.optional()? else {
            return Some(None);
        };
        let path = path.key("pass");
        match pass.value()? {
            Pass::Password(password) => {
                let password = password.value()?.0;
                self.lowered.open_passwords.push(path.key("password"));
                Some(Some(password))
            }
            Pass::PasswordFile(file) => {
                let (path, file) = (path.key("passwordFile"), file.value()?);
                if file.is_empty() || file.contains('\0') {
                    self.findings.add(&path, "must be the path of a file");
                }
                let (instance, file) = (instance.into(), file.into());
                self.lowered.password_files.push(PasswordFile {
                    instance,
                    path,
                    file,
                });
                Some(None)
            }
        }
    }

    fn addresses(
        &mut self,
        path: &Path,
        addresses: &Given<Vec<Given<Entry>>>,
    ) -> Option<Addresses> {
        let entries = addresses.required(
            path,
            r#""virtualAddresses": ["192.168.224.100/24"]"#,
            self.findings,
        )?;
        if entries.is_empty() {
            self.findings.add(
                path,
                "must not be empty: name the addresses that the master holds",
            );
        }
        if entries.len() > MOST_ADDRESSES {
            self.findings.add(
                path,
                format!(
                    "must be at most {MOST_ADDRESSES} addresses, these are {}: use several instances",
                    entries.len()
                ),
            );
        }
        let lowered: Option<Vec<_>> = all(entries
            .iter()
            .enumerate()
            .map(|(index, entry)| entry.value()?.lower(&path.index(index), self.findings)));
        let mut lowered = lowered?;
        for family in Family::ALL {
            leave_out_what_does_not_fit(family, &mut lowered);
        }
        if !lowered.is_empty() && lowered.iter().all(|(_, options)| !options.advertise) {
            self.findings.add(
                path,
                "one at least must be advertised: leave \"advertise\" out there",
            );
        }
        let addresses = lowered.iter().map(|(address, _)| *address).collect();
        let options = lowered
            .into_iter()
            .filter(|(_, options)| *options != AddressOptions::default())
            .map(|(address, options)| (address.address, options));
        Some((addresses, options.collect()))
    }

    fn track(&mut self, path: &Path, follow: &Follow) -> Option<Track> {
        let name =
            follow
                .tracker
                .required(&path.key("tracker"), r#""tracker": "name""#, self.findings);
        let weight = follow.weight.optional();
        Some(Track {
            tracker: name?.as_str().into(),
            effect: weight?.map_or(Effect::Fault, |Whole(weight)| Effect::Weight(weight.0)),
        })
    }
}

/// Takes what one advertisement has no room for out of it; it is held all the same.
fn leave_out_what_does_not_fit(
    family: Family,
    addresses: &mut [(InterfaceAddress, AddressOptions)],
) {
    let advertised = addresses
        .iter_mut()
        .filter(|(address, options)| address.family() == family && options.advertise);
    for (_, options) in advertised.skip(most_addresses(family)) {
        options.advertise = false;
    }
}
