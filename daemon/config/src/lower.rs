//! Translation of the configuration into the parameters of the engine.
//!
//! Each function returns `None` only if it, or the reader before it, has reported a problem. It
//! examines all parts before it returns, so that one problem does not hide another.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use vrrp_proto::notify::{Notify, Subject};
use vrrp_proto::params::{
    self, AddressOptions, Announcements, AntiReplay, GroupParams, NodeParams, RouterParams,
    VirtualMac,
};
use vrrp_proto::resources::ResourceParams;
use vrrp_proto::routing::{Route, Rule};
use vrrp_proto::wire::hmac::KeyId;
use vrrp_proto::wire::most_addresses;
use vrrp_proto::{AdvertInterval, Family, InterfaceAddress, Version};

use crate::address::Entry;
use crate::duration::{BoundedDuration, Bounds};
use crate::field::{Field, all};
use crate::group::SyncGroup;
use crate::lvs;
use crate::model::{
    Announce, AntiReplayBy, Authentication, Config, Hmac, HmacKey, HmacMode, InitialState,
    Instance, Pass,
};
use crate::notify::{Audience, Command};
use crate::problem::{Findings, Path};
use crate::routing::{Context, Seen};
use crate::secret::{KeySource, Pending, PendingAuthentication, PendingHmac, SecretFile};
use crate::tracker::Probe;
use crate::unicast::check_families;
use crate::value::BoundedInteger;
use crate::virtual_mac::{SendFrom, UseVirtualMac};
use crate::walk::memberships;

/// Parameters of the engine, and what only the daemon needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lowered {
    pub(crate) node: NodeParams,
    pub(crate) probes: BTreeMap<Arc<str>, Probe>,
    pub(crate) notify: BTreeMap<Subject, Notify<Arc<Command>>>,
    /// Resources by the name of the router.
    pub(crate) resources: BTreeMap<Arc<str>, ResourceParams>,
    /// Authentication that is complete after its files have been read.
    pub(crate) pending: Vec<Pending>,
    /// Secrets that the configuration contains in clear text.
    pub(crate) open_secrets: Vec<OpenSecret>,
}

/// A secret that the configuration contains in clear text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenSecret {
    pub(crate) path: Path,
    /// Kind of the secret, for messages.
    pub(crate) kind: &'static str,
    /// Key that names a file with the secret instead.
    pub(crate) instead: &'static str,
}

/// Range of `timeWindow`, and the least default, for intervals below 1.7 s.
const TIME_WINDOW: (BoundedDuration, BoundedDuration) = (
    BoundedDuration::SECOND,
    BoundedDuration(Duration::from_secs(300)),
);
const LEAST_TIME_WINDOW: Duration = Duration::from_secs(5);

/// Maximum number of addresses of an instance, advertised or not, so that a take-over takes a few
/// hundredths of a second.
const MOST_ADDRESSES: usize = 4096;

/// Virtual addresses of an instance, and the options of some of them.
type Addresses = (Arc<[InterfaceAddress]>, BTreeMap<IpAddr, AddressOptions>);

/// Range of `preemptDelay`, `startupDelay` and `announce.delay`.
const DELAY: Bounds = Bounds {
    least: BoundedDuration(Duration::ZERO),
    most: BoundedDuration(Duration::from_secs(1000)),
    words: "0 to 1000s",
};

/// Range of `announce.refresh`.
const REFRESH: (BoundedDuration, BoundedDuration) = (
    BoundedDuration::SECOND,
    BoundedDuration(Duration::from_secs(24 * 60 * 60)),
);

/// Translates the whole configuration.
pub(crate) fn lower(config: &Config, findings: &mut Findings) -> Option<Lowered> {
    let mut lowering = Lowering {
        findings,
        lowered: Lowered::default(),
        routed: Seen::default(),
        memberships: memberships(config),
    };
    let root = Path::default();
    let trackers = named(&config.trackers, |name, tracker| {
        let path = root.key("trackers").key(name);
        lowering.name(&path, name);
        let (params, probe) = tracker.value()?.lower(&path, lowering.findings)?;
        let probe = probe.map(|probe| (name.into(), probe));
        lowering.lowered.probes.extend(probe);
        Some(params)
    });
    let routers = named(&config.instances, |name, instance| {
        let path = root.key("instances").key(name);
        lowering.name(&path, name);
        lowering.router(&path, name, instance.value()?)
    });
    let groups = named(&config.sync_groups, |name, group| {
        let path = root.key("syncGroups").key(name);
        lowering.name(&path, name);
        lowering.group(&path, name, group.value()?, routers.as_ref())
    });
    let node = NodeParams {
        routers: routers?,
        trackers: trackers?,
        groups: groups?,
    };
    Some(Lowered {
        node,
        ..lowering.lowered
    })
}

/// Translates each of `entries`. `None` if any fails, but only after all were examined.
fn named<T, P>(
    entries: &Field<BTreeMap<String, T>>,
    mut lower: impl FnMut(&str, &T) -> Option<P>,
) -> Option<BTreeMap<Arc<str>, P>> {
    all(entries
        .value()?
        .iter()
        .map(|(name, entry)| Some((name.as_str().into(), lower(name, entry)?))))
}

struct Lowering<'c, 'f> {
    findings: &'f mut Findings,
    lowered: Lowered,
    routed: Seen,
    memberships: BTreeMap<&'c str, &'c str>,
}

impl Lowering<'_, '_> {
    /// Checks a name: it appears in logs, metrics and commands, so it must need no quoting there.
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
        let authentication = self.authentication(&path.key("authentication"), name, instance);
        let addresses = self.addresses(&path.key("virtualAddresses"), &instance.virtual_addresses);
        let preempt_delay = DELAY.check(
            &path.key("preemptDelay"),
            &instance.preempt_delay,
            self.findings,
        );
        let startup_delay = DELAY.check(
            &path.key("startupDelay"),
            &instance.startup_delay,
            self.findings,
        );
        let announce = self.announce(&path.key("announce"), &instance.announce);
        let tracks = instance.track.value().and_then(|track| {
            all(track.iter().enumerate().map(|(index, follow)| {
                let path = path.key("track").index(index);
                follow.value()?.lower(&path, self.findings)
            }))
        });
        let notify = instance.notify.optional().and_then(|notify| {
            let Some(notify) = notify else {
                return Some(None);
            };
            // Invalid addresses must not hide the problems of `notify`.
            let addresses = addresses.as_ref().map(|(addresses, _)| addresses);
            let told = Audience {
                addresses: addresses.cloned().unwrap_or_default(),
                group: self.memberships.get(name).map(|group| Arc::from(*group)),
                members: Vec::new(),
            };
            let notify = notify.lower(&path.key("notify"), told, self.findings)?;
            Some(Some(notify))
        });
        let resources = instance.resources.optional().and_then(|given| match given {
            None => Some(None),
            Some(given) => given.lower(&path.key("resources"), self.findings).map(Some),
        });
        let source = instance.source.optional();
        let unicast = instance
            .unicast
            .optional()
            .and_then(|unicast| match unicast {
                None => Some(None),
                Some(unicast) => unicast.lower(&path.key("unicast"), self.findings).map(Some),
            });
        let routing = {
            // A missing interface or address must not hide the problems of routes and rules.
            let none = Arc::default();
            let interface = interface.map_or(&none, |name| &name.0);
            let addresses = addresses.as_ref().map(|(addresses, _)| &**addresses);
            self.routing(path, instance, interface, addresses.unwrap_or_default())
        };
        let lvs = lvs::lower(
            &path.key("lvs"),
            &instance.lvs,
            &instance.lvs_sync_interface,
            &instance.virtual_router_id,
            self.findings,
        );
        let sends = match instance.virtual_mac.optional()? {
            None | Some(UseVirtualMac::No) => None,
            Some(UseVirtualMac::Yes { send_from }) => Some(*send_from.value()?),
        };
        let virtual_mac = sends.map(|from| {
            let sends = from == SendFrom::Virtual;
            Some(VirtualMac::new(&interface?.0, vrid?.0, sends))
        });
        let virtual_mac = virtual_mac.map_or(Some(None), |lowered| lowered.map(Some))?;
        let ((addresses, options), (routes, rules)) = (addresses?, routing?);
        let router = RouterParams {
            version: instance.version.value()?.0,
            priority: instance.priority.value()?.0,
            interval: interval?,
            track_interface: instance.tracks_interface()?,
            preempt: *instance.preempt.value()?,
            preempt_delay: preempt_delay?,
            startup_delay: startup_delay?,
            trust_wire: *instance.trust_wire.value()?,
            announce: announce?,
            accept: *instance.accept_mode.value()?,
            expect_master: *instance.state.value()? == InitialState::Master,
            authentication: authentication?,
            tracks: tracks?,
            options: Arc::new(options),
            source: source?.map(|source| source.0),
            unicast: unicast?,
            virtual_mac,
            routes,
            rules,
            lvs: lvs?,
            ..RouterParams::new(interface?.0.clone(), vrid?.0, addresses)
        };
        if let Some(resources) = resources? {
            self.lowered.resources.insert(name.into(), resources);
        }
        check_families(&path.key("unicast"), &router, self.findings);
        let notify = notify?.map(|notify| (Subject::Instance(name.into()), notify));
        self.lowered.notify.extend(notify);
        Some(router)
    }

    fn announce(&mut self, path: &Path, announce: &Field<Announce>) -> Option<Announcements> {
        let Some(announce) = announce.optional()? else {
            return Some(Announcements::DEFAULT);
        };
        let delay = DELAY.check(&path.key("delay"), &announce.delay, self.findings);
        let refresh = self.refresh(&path.key("refresh"), &announce.refresh);
        Some(Announcements {
            burst: announce.burst.value()?.0.0,
            delay: delay?,
            refresh: refresh?,
            on_lower_priority: *announce.on_lower_priority.value()?,
            pace: announce.pace.value()?.0.0,
        })
    }

    fn refresh(&mut self, path: &Path, span: &Field<BoundedDuration>) -> Option<Duration> {
        let span = span.value()?;
        let (least, most) = REFRESH;
        if span.0.is_zero() || (least..=most).contains(span) {
            return Some(span.0);
        }
        self.findings
            .add(path, format!("must be {least} to 24h, or 0 for never"));
        None
    }

    /// Returns the routes and rules of `instance`.
    fn routing(
        &mut self,
        path: &Path,
        instance: &Instance,
        interface: &Arc<str>,
        addresses: &[InterfaceAddress],
    ) -> Option<(Vec<Route>, Vec<Rule>)> {
        let mut families: Vec<Family> = addresses.iter().map(InterfaceAddress::family).collect();
        families.dedup();
        families.truncate(2);
        if families.is_empty() {
            families.push(Family::V4);
        }
        let around = Context {
            interface,
            families: &families,
        };
        let routes = instance.routes.value().and_then(|routes| {
            all(routes.iter().enumerate().map(|(index, route)| {
                let path = path.key("routes").index(index);
                let route = route.value()?;
                route.lower(&path, &around, &mut self.routed, self.findings)
            }))
        });
        let rules: Option<Vec<Vec<Rule>>> = instance.rules.value().and_then(|rules| {
            all(rules.iter().enumerate().map(|(index, rule)| {
                let path = path.key("rules").index(index);
                let rule = rule.value()?;
                rule.lower(&path, &around, &mut self.routed, self.findings)
            }))
        });
        Some((routes?, rules?.into_iter().flatten().collect()))
    }

    fn interval(&mut self, path: &Path, instance: &Instance) -> Option<AdvertInterval> {
        let span = instance.advert_interval.value()?;
        let BoundedInteger(version) = *instance.version.value()?;
        let interval = AdvertInterval::exact(version, span.0);
        if interval.is_none() {
            self.findings.add(
                path,
                match version {
                    Version::V2 => {
                        "must be 1s to 255s in whole seconds with version 2; shorter intervals need version 3"
                    }
                    Version::V3 => {
                        "must be 10ms to 40.95s in steps of 10ms with version 3"
                    }
                },
            );
        }
        interval
    }

    /// Returns the authentication, if it is complete without reading a file. Otherwise it is
    /// recorded as pending.
    fn authentication(
        &mut self,
        path: &Path,
        name: &str,
        instance: &Instance,
    ) -> Option<params::Authentication> {
        let none = params::Authentication::None;
        let pending = match instance.authentication.optional()? {
            None => return Some(none),
            Some(Authentication::Pass(pass)) => {
                let path = path.key("pass");
                match pass.value()? {
                    Pass::Password(password) => {
                        let password = password.value()?.0;
                        self.lowered.open_secrets.push(OpenSecret {
                            path: path.key("password"),
                            kind: "password",
                            instead: "passwordFile",
                        });
                        return Some(params::Authentication::Pass(password));
                    }
                    Pass::PasswordFile(file) => {
                        let path = path.key("passwordFile");
                        let file = SecretFile::new(path, file.value()?, self.findings);
                        PendingAuthentication::Pass(file)
                    }
                }
            }
            Some(Authentication::Hmac(hmac)) => {
                let hmac = self.hmac(&path.key("hmac"), hmac.value()?, instance)?;
                PendingAuthentication::Hmac(hmac)
            }
        };
        self.lowered.pending.push(Pending {
            instance: name.into(),
            authentication: pending,
        });
        Some(none)
    }

    fn hmac(&mut self, path: &Path, hmac: &Hmac, instance: &Instance) -> Option<PendingHmac> {
        let keys = self.keys(&path.key("keys"), &hmac.keys);
        let active = self.active_key(&path.key("activeKey"), hmac);
        let window = self.time_window(&path.key("timeWindow"), &hmac.time_window, instance);
        let mode = match hmac.mode.value()? {
            HmacMode::Enforce => params::HmacMode::Enforce,
            HmacMode::Permissive => params::HmacMode::Permissive,
            HmacMode::ReceiveOnly => params::HmacMode::ReceiveOnly,
        };
        let anti_replay = match hmac.anti_replay.value()? {
            AntiReplayBy::Time => AntiReplay::Time { window: window? },
            AntiReplayBy::Monotonic => AntiReplay::Monotonic,
        };
        Some(PendingHmac {
            keys: keys?,
            active: active?,
            mode,
            anti_replay,
        })
    }

    fn keys(
        &mut self,
        path: &Path,
        keys: &Field<BTreeMap<String, Field<HmacKey>>>,
    ) -> Option<BTreeMap<KeyId, KeySource>> {
        const EXAMPLE: &str = r#""keys": { "1": { "keyFile": "/etc/vrrpd/key" } }"#;
        let keys = keys.required(path, EXAMPLE, self.findings)?;
        if keys.is_empty() {
            let message = format!("must not be empty: write {EXAMPLE}");
            self.findings.add(path, message);
            return None;
        }
        all(keys.iter().map(|(number, key)| {
            let path = path.key(number);
            let id = key_id(number);
            if id.is_none() {
                let message = "the number of a key must be 1 to 255";
                self.findings.add(&path, message);
            }
            match key.value()? {
                HmacKey::Key(text) => {
                    let key = text.value()?.key(id?)?;
                    self.lowered.open_secrets.push(OpenSecret {
                        path: path.key("key"),
                        kind: "key",
                        instead: "keyFile",
                    });
                    Some((id?, KeySource::Here(key)))
                }
                HmacKey::KeyFile(file) => {
                    let path = path.key("keyFile");
                    let file = SecretFile::new(path, file.value()?, self.findings);
                    Some((id?, KeySource::File(file)))
                }
            }
        }))
    }

    fn active_key(&mut self, path: &Path, hmac: &Hmac) -> Option<KeyId> {
        let numbers = hmac.keys.value()?.keys().map(String::as_str);
        let numbers: Vec<&str> = numbers.filter(|n| key_id(n).is_some()).collect();
        match (hmac.active_key.optional()?, numbers.as_slice()) {
            (Some(BoundedInteger(active)), numbers) => {
                let number = active.to_string();
                if !numbers.is_empty() && !numbers.contains(&number.as_str()) {
                    let numbers = numbers.join(" or ");
                    let message = format!("there is no such key: must be {numbers}");
                    self.findings.add(path, message);
                    return None;
                }
                Some(*active)
            }
            (None, [only]) => key_id(only),
            (None, []) => None,
            (None, several) => {
                let several = several.join(" or ");
                let message =
                    format!("missing: write the number of the key to sign with, {several}");
                self.findings.add(path, message);
                None
            }
        }
    }

    fn time_window(
        &mut self,
        path: &Path,
        window: &Field<BoundedDuration>,
        instance: &Instance,
    ) -> Option<Duration> {
        let (least, most) = TIME_WINDOW;
        let Some(span) = window.optional()? else {
            let three = 3 * instance.advert_interval.value()?.0;
            let whole = Duration::from_secs(three.as_secs());
            return Some(whole.clamp(LEAST_TIME_WINDOW, most.0));
        };
        if (least..=most).contains(span) && span.0.subsec_nanos() == 0 {
            return Some(span.0);
        }
        let message = format!("must be {least} to {most} in whole seconds");
        self.findings.add(path, message);
        None
    }

    fn addresses(
        &mut self,
        path: &Path,
        addresses: &Field<Vec<Field<Entry>>>,
    ) -> Option<Addresses> {
        let entries = addresses.required(
            path,
            r#""virtualAddresses": ["192.168.224.100/24"], or [] if the network moves the addresses"#,
            self.findings,
        )?;
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
        let addresses = lowered.iter().map(|(address, _)| *address).collect();
        let options = lowered
            .into_iter()
            .filter(|(_, options)| *options != AddressOptions::default())
            .map(|(address, options)| (address.address, options));
        Some((addresses, options.collect()))
    }

    fn group(
        &mut self,
        path: &Path,
        name: &str,
        group: &SyncGroup,
        routers: Option<&BTreeMap<Arc<str>, RouterParams>>,
    ) -> Option<GroupParams> {
        const EXAMPLE: &str = r#""members": ["VI_1", "VI_2"]"#;
        let (members_path, track_path) = (path.key("members"), path.key("track"));
        let members = group
            .members
            .required(&members_path, EXAMPLE, self.findings);
        if members.is_some_and(Vec::is_empty) {
            let message = "must not be empty: list the instances of the group";
            self.findings.add(&members_path, message);
        }
        let tracks = group.track.value().and_then(|track| {
            all(track.iter().enumerate().map(|(index, follow)| {
                let path = track_path.index(index);
                follow.value()?.lower(&path, self.findings)
            }))
        });
        let members: Option<Vec<Arc<str>>> = members.and_then(|members| {
            let names = members.iter();
            all(names.map(|name| Some(name.value()?.as_str().into())))
        });
        let notify = group.notify.optional().and_then(|notify| {
            let Some(notify) = notify else {
                return Some(None);
            };
            // Missing members must not hide the problems of `notify`.
            let members = members.clone().unwrap_or_default();
            let routers = members.iter().filter_map(|member| routers?.get(member));
            let addresses = routers.flat_map(|router| router.addresses.iter().copied());
            let name: Arc<str> = name.into();
            let told = Audience {
                addresses: addresses.collect(),
                group: Some(Arc::clone(&name)),
                members: members.clone(),
            };
            let notify = notify.lower(&path.key("notify"), told, self.findings)?;
            Some(Some((Subject::Group(name), notify)))
        });
        self.lowered.notify.extend(notify?);
        Some(GroupParams {
            members: members?,
            tracks: tracks?,
        })
    }
}

/// Marks the addresses beyond the capacity of one advertisement as not advertised. The master still
/// holds them.
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

/// Parses the number of a key, written without a sign or leading zeros.
fn key_id(text: &str) -> Option<KeyId> {
    let number: u8 = text.parse().ok()?;
    KeyId::new(number).filter(|id| id.to_string() == text)
}
