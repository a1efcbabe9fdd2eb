//! Generation of scenarios from bytes, which come from a seed or from a fuzzer.
//!
//! The configurations are valid for `vrrp-config`: VRIDs and addresses are unique per interface,
//! version 2 has whole seconds and advertises no IPv6, and priority 255 is only for hosts that have the
//! addresses.

mod group;

use std::collections::BTreeSet;

use arbitrary::Unstructured;
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use vrrp_proto::params::HmacMode;
use vrrp_proto::{Family, Version};

use crate::junk;
use crate::scenario::{
    Action, AnnounceConfig, Behind, Config, Families, ForeignSpec, HmacConfig, HostSpec, MAX_HOSTS,
    Make, Meaning, Meddling, Order, PatienceConfig, PeerConfig, Place, RouterConfig, SEGMENTS,
    Scenario, Source, Step, TrackerConfig, UnicastConfig,
};

/// Number of bytes that the longest scenario can use.
const BYTES: usize = 8 << 10;

/// Returns the scenario of a seed.
pub fn from_seed(seed: u64) -> Scenario {
    let mut bytes = vec![0; BYTES];
    Pcg64Mcg::seed_from_u64(seed).fill_bytes(&mut bytes);
    from_bytes(&bytes)
}

/// Returns the scenario that the bytes encode. Every sequence of bytes is valid.
pub fn from_bytes(bytes: &[u8]) -> Scenario {
    let mut choices = Choices(Unstructured::new(bytes));
    let seed = choices.number(0..=u64::MAX);
    let services = choices.services();
    let mut hosts: Vec<HostSpec> = (0..choices.pick(&[2, 2, 2, 3, 3, 4, 5, MAX_HOSTS]))
        .map(|_| choices.host(&services))
        .collect();
    let mut foreign = choices.foreign(&services);
    let mut steps = choices.steps(&services, &hosts, foreign.len());
    choices.delays(&mut hosts, &mut steps);
    choices.virtual_macs(&services, &mut hosts, &mut steps);
    choices.ways(&services, &mut hosts, &mut foreign, &mut steps);
    choices.removals(&mut steps);
    choices.patience(&mut hosts, &mut steps);
    choices.synchronisation(&mut hosts, &mut steps);
    group::groups(&mut choices, &services, &mut hosts, &mut steps);
    choices.firewalls(&mut hosts, &mut steps);
    choices.unadvertised_services(&services, &mut hosts, &mut foreign, &mut steps);
    choices.untracked_interfaces(&services, &mut hosts, &mut steps);
    choices.rejected_addresses(&hosts, &mut steps);
    choices.dropped_output(&hosts, &mut steps);
    choices.commands(&hosts, &mut steps);
    Scenario {
        seed,
        hosts,
        foreign,
        steps,
    }
}

/// Virtual router as most of the hosts have it.
#[derive(Clone, Copy, Debug)]
struct Service {
    segment: u8,
    vrid: u8,
    version: Version,
    interval: u16,
    password: bool,
    families: Families,
    /// First of its three addresses.
    first_address: u8,
}

impl Service {
    fn name(&self) -> String {
        format!("VI_{}", self.vrid)
    }
}

/// Delays of a router in milliseconds, and its announcement settings.
#[derive(Clone, Copy, Debug, Default)]
struct Delays {
    preempt: u32,
    startup: u32,
    announce: AnnounceConfig,
}

/// Source of random choices. When the bytes are used up, every choice is the first possible one.
struct Choices<'a>(Unstructured<'a>);

impl Choices<'_> {
    fn number<T: arbitrary::unstructured::Int>(&mut self, range: std::ops::RangeInclusive<T>) -> T {
        let first = *range.start();
        self.0.int_in_range(range).unwrap_or(first)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let index = self.number(0..=from.len() - 1);
        from[index]
    }

    /// Returns true with this probability, in percent.
    fn percent(&mut self, percent: u8) -> bool {
        self.number(1..=100) > 100 - percent
    }

    /// Draws the services. Their intervals are similar, because otherwise most events of a run would be
    /// the advertisements of the shortest interval.
    fn services(&mut self) -> Vec<Service> {
        let base = self.pick(&[100_u16, 100, 100, 1, 10, 10, 37, 300, 4095]);
        (0..self.pick(&[1_u8, 1, 1, 2, 3]))
            .map(|n| {
                let version = self.pick(&[Version::V3, Version::V3, Version::V3, Version::V2]);
                let interval = self.pick(&[base, base, base / 2, base.saturating_mul(2)]);
                let families = self.pick(&FAMILIES);
                // IPv6 address numbers that start at 0 or 6 have a link-local address first, the other
                // ones last or not.
                let first_address = 3 * n + self.pick(&[0, 10]);
                Service {
                    segment: n % SEGMENTS,
                    vrid: 51 + n,
                    version,
                    interval: sayable(version, interval),
                    password: version == Version::V2 && self.percent(50),
                    families: known_to(version, families),
                    first_address,
                }
            })
            .collect()
    }

    fn host(&mut self, services: &[Service]) -> HostSpec {
        let (mut owns, mut owns_ipv6) = (Vec::new(), Vec::new());
        let mut config = Config::default();
        for name in ["t0", "t1"] {
            let (rise, fall) = (self.pick(&[1, 1, 2, 3]), self.pick(&[1, 1, 2, 3]));
            config
                .trackers
                .insert(name.to_owned(), TrackerConfig::Probe { rise, fall });
        }
        let segment = self.number(0..=SEGMENTS - 1);
        config
            .trackers
            .insert("link".to_owned(), TrackerConfig::Interface { segment });
        for service in services {
            if self.percent(6) {
                continue;
            }
            let mut router = self.router(service);
            if self.percent(5) {
                router.priority = 255;
                router.addresses = vec![service.first_address];
                let owned = (service.segment, service.first_address);
                if router.families.has(Family::V4) {
                    owns.push(owned);
                }
                if router.families.has(Family::V6) {
                    owns_ipv6.push(owned);
                }
            }
            config.routers.insert(service.name(), router);
        }
        HostSpec {
            drift: if self.percent(50) {
                self.number(-50_000..=50_000)
            } else {
                0
            },
            marks: !self.percent(10),
            promotes: !self.percent(20),
            owns,
            owns_ipv6,
            backwards: self.percent(30),
            second: false,
            config,
        }
    }

    fn router(&mut self, service: &Service) -> RouterConfig {
        let version = if self.percent(4) {
            other(service.version)
        } else {
            service.version
        };
        let families = if self.percent(4) {
            self.pick(&[Families::Ipv4, Families::Ipv6, Families::Both])
        } else {
            service.families
        };
        let families = known_to(version, families);
        let addresses = self.addresses(service);
        let mut router = RouterConfig {
            segment: service.segment,
            vrid: service.vrid,
            version,
            priority: self.priority(),
            interval: service.interval,
            preempt: !self.percent(25),
            accept: !self.percent(25),
            expect_master: self.percent(25),
            password: service.password,
            families,
            unadvertised: self.unadvertised(families, &addresses),
            addresses,
            tracks: self.tracks(),
            track_interface: true,
            preempt_delay: 0,
            startup_delay: 0,
            trust_wire: true,
            announce: AnnounceConfig::default(),
            behind: Behind::Own,
            routes: self.numbers(service),
            rules: self.numbers(service),
            source: None,
            unicast: None,
            hmac: None,
        };
        self.set_interval(&mut router, 10);
        router
    }

    fn priority(&mut self) -> u8 {
        self.pick(&[100, 100, 100, 99, 101, 1, 50, 150, 200, 254])
    }

    fn addresses(&mut self, service: &Service) -> Vec<u8> {
        let count = self.pick(&[1, 1, 2, 3]);
        (service.first_address..service.first_address + count).collect()
    }

    /// Draws the numbers of routes or rules, in most cases none.
    fn numbers(&mut self, service: &Service) -> Vec<u8> {
        let count = self.pick(&[0, 0, 1, 2, 3]);
        (service.first_address..service.first_address + count).collect()
    }

    /// Draws addresses that are held and not advertised: the last one, or all addresses of one family
    /// of an instance with both.
    fn unadvertised(&mut self, families: Families, addresses: &[u8]) -> Vec<(Family, u8)> {
        if !self.percent(15) {
            return Vec::new();
        }
        let family = self.pick(&families.each().collect::<Vec<_>>());
        let hidden = match addresses {
            _ if families == Families::Both && self.percent(50) => addresses,
            [_, .., last] => std::slice::from_ref(last),
            _ => &[],
        };
        hidden.iter().map(|number| (family, *number)).collect()
    }

    fn tracks(&mut self) -> Vec<(String, i16)> {
        let mut tracks = Vec::new();
        for name in ["t0", "t1", "link"] {
            if self.percent(25) {
                let weight = self.pick(&[0, 0, -10, -60, -253, 5, 60]);
                tracks.push((name.to_owned(), weight));
            }
        }
        tracks
    }

    /// Changes the interval of a router with this probability in percent, to one that its version can
    /// encode.
    fn set_interval(&mut self, router: &mut RouterConfig, percent: u8) {
        if self.percent(percent) {
            router.interval = match self.pick(&[0, 1, 2]) {
                0 => router.interval.saturating_mul(2),
                1 => router.interval / 2,
                _ => router.interval + 1,
            };
        }
        router.interval = sayable(router.version, router.interval);
    }

    fn foreign(&mut self, services: &[Service]) -> Vec<ForeignSpec> {
        let count = self.pick(&[0, 0, 0, 0, 0, 1, 1, 2]);
        (0..count)
            .map(|n| {
                let service = self.pick(services);
                let config = RouterConfig {
                    version: service.version,
                    interval: service.interval,
                    tracks: Vec::new(),
                    families: match service.families {
                        Families::Both => self.pick(&[Families::Ipv4, Families::Ipv6]),
                        one @ (Families::Ipv4 | Families::Ipv6) => one,
                    },
                    unadvertised: Vec::new(),
                    ..self.router(&service)
                };
                ForeignSpec {
                    make: self.pick(&[Make::Rfc, Make::Keepalived]),
                    // One address below those of the hosts, and one above.
                    host: self.pick(&[3_u8, 203]) + n,
                    config,
                }
            })
            .collect()
    }

    fn steps(&mut self, services: &[Service], hosts: &[HostSpec], foreign: usize) -> Vec<Step> {
        let longest = services.iter().map(|service| service.interval).max();
        let interval = u64::from(longest.unwrap_or(100)) * 10_000;
        // Long enough for the final state between two steps.
        let settled = 4 * interval + interval / 2 + 1_200_000;
        let mut configs: Vec<Config> = hosts.iter().map(|host| host.config.clone()).collect();
        let mut steps = Vec::new();
        let mut up = true;
        for _ in 0..self.pick(&[0, 3, 6, 10, 16, 24]) {
            let after = match self.number(0..=9) {
                0 | 1 => self.number(0..=1_000),
                2..=4 => self.number(0..=interval),
                5..=7 => self.number(0..=4 * interval),
                _ => settled,
            };
            let action = self.action(services, &mut configs, foreign, interval);
            steps.push(Step { after, action });
            up = false;
            if self.percent(15) {
                let after = self.number(0..=2 * interval);
                let action = Action::Mend;
                steps.push(Step { after, action });
                up = true;
            }
        }
        // Scenarios with steps end with a repair, so that the final state is reached.
        if !up {
            let after = self.number(0..=settled);
            let action = Action::Mend;
            steps.push(Step { after, action });
        }
        steps
    }

    fn action(
        &mut self,
        services: &[Service],
        configs: &mut [Config],
        foreign: usize,
        interval: u64,
    ) -> Action {
        let host = self.number(0..=u8::try_from(configs.len() - 1).unwrap_or(0));
        let stations = u8::try_from(configs.len() + foreign).unwrap_or(1);
        let service = self.pick(services);
        let segment = service.segment;
        // From zero to a multiple of the master-down interval.
        let span = u32::try_from(interval / 1_000).unwrap_or(u32::MAX);
        match self.number(0..=34) {
            0 => Action::Lose {
                segment,
                percent: self.pick(&[5, 20, 50]),
            },
            1 => Action::Delay {
                segment,
                micros: self.number(1_000..=span.saturating_mul(700)),
            },
            2 => Action::Duplicate {
                segment,
                percent: self.pick(&[10, 100]),
            },
            3 | 4 => Action::Partition {
                segment,
                side: self.number(0..=(1 << stations) - 1),
            },
            5 => Action::Mute {
                segment,
                from: self.number(0..=stations - 1),
                to: self.number(0..=stations - 1),
            },
            6 => Action::Heal { segment },
            7 => Action::Cable {
                host,
                segment,
                plugged: self.percent(40),
            },
            8 => Action::Admin {
                host,
                segment,
                up: self.percent(40),
            },
            9 => Action::Rename {
                host,
                segment,
                back: self.percent(50),
            },
            10 => Action::Exist {
                host,
                segment,
                exists: self.percent(50),
            },
            11 | 12 => Action::TakeVirtual {
                host,
                segment,
                number: service.first_address + self.number(0..=2),
                families: service.families,
            },
            13 => Action::PutVirtual {
                host,
                segment,
                number: service.first_address + self.number(0..=2),
                families: service.families,
                bare: self.percent(20),
            },
            14 => Action::Own {
                host,
                segment,
                there: self.percent(40),
                families: self.pick(&[Families::Ipv4, Families::Ipv6, Families::Both]),
                second: false,
            },
            15 => Action::LoseNews {
                host,
                count: self.number(1..=3),
            },
            16 => Action::Refuse {
                host,
                count: self.number(1..=3),
            },
            17 | 18 => Action::Kill {
                host,
                cleanup: self.number(1..=300),
                restart: self.number(1..=2_000),
            },
            19 => Action::Run {
                host,
                runs: self.percent(50),
            },
            20 | 21 => Action::Freeze {
                host,
                millis: self.number(1..=span.saturating_mul(8)),
            },
            22 => Action::Suspend {
                host,
                millis: self.number(1..=span.saturating_mul(8)),
            },
            23 => Action::Power {
                host,
                on: self.percent(40),
            },
            24 | 25 => Action::Probe {
                host,
                tracker: self.number(0..=1),
                up: self.percent(40),
            },
            26 | 27 => {
                let config = &mut configs[usize::from(host)];
                self.change(config, services);
                Action::Reload {
                    host,
                    config: config.clone(),
                }
            }
            28 if foreign > 0 => Action::Foreign {
                index: self.number(0..=u8::try_from(foreign - 1).unwrap_or(0)),
                on: self.percent(50),
            },
            28 | 29 => Action::Junk {
                segment,
                vrid: service.vrid,
                count: self.number(1..=50),
                kinds: self.number(1..=u16::MAX),
            },
            30 => Action::Flush { host },
            31 | 32 => Action::TakeRouting {
                host,
                number: service.first_address + self.number(0..=2),
            },
            33 => Action::PutRouting {
                host,
                segment,
                number: service.first_address + self.number(0..=2),
            },
            _ => Action::Mend,
        }
    }

    /// Removes a router from some reloads. Runs after the earlier generators, so that earlier bytes
    /// keep their meaning.
    fn removals(&mut self, steps: &mut [Step]) {
        for step in steps {
            if let Action::Reload { config, .. } = &mut step.action
                && self.percent(8)
                && let Some(name) = config.routers.keys().next().cloned()
            {
                config.routers.remove(&name);
            }
        }
    }

    /// Adds delays and announcement settings to some routers, and changes them in some reloads. Runs
    /// after the earlier generators, so that earlier bytes keep their meaning.
    fn delays(&mut self, hosts: &mut [HostSpec], steps: &mut [Step]) {
        for mut configs in configs_of_each(hosts, steps) {
            let names: Vec<String> = configs
                .iter()
                .flat_map(|config| config.routers.keys().cloned())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
            for name in names {
                let mut delays = Delays::default();
                for (n, config) in configs.iter_mut().enumerate() {
                    let Some(router) = config.routers.get_mut(&name) else {
                        continue;
                    };
                    if self.percent(if n == 0 { 35 } else { 20 }) {
                        delays = self.some_delays(router.interval);
                    }
                    router.preempt_delay = delays.preempt;
                    router.startup_delay = delays.startup;
                    router.announce = delays.announce;
                }
            }
        }
    }

    /// Adds hold times and delays to some trackers, and changes them in some reloads.
    fn patience(&mut self, hosts: &mut [HostSpec], steps: &mut [Step]) {
        for mut configs in configs_of_each(hosts, steps) {
            for name in ["t0", "t1", "link"] {
                let mut patience = None;
                for (n, config) in configs.iter_mut().enumerate() {
                    if self.percent(if n == 0 { 40 } else { 15 }) {
                        patience = Some(PatienceConfig {
                            hold: self.pick(&[0, 0, 200, 1_000, 3_000]),
                            up_delay: self.pick(&[0, 0, 1, 500, 2_000]),
                            down_delay: self.pick(&[0, 0, 1, 500, 2_000]),
                            doubts: self.percent(20),
                        });
                    }
                    if let Some(patience) = patience {
                        config.patience.insert(name.to_owned(), patience);
                    }
                }
            }
        }
    }

    /// Adds virtual MAC addresses to some routers, and manual changes of their interfaces. Runs after
    /// the earlier generators, for the same reason as [`Self::delays`].
    fn virtual_macs(
        &mut self,
        services: &[Service],
        hosts: &mut [HostSpec],
        steps: &mut Vec<Step>,
    ) {
        let mut any = false;
        for service in services {
            if !self.percent(40) {
                continue;
            }
            any = true;
            let name = service.name();
            for configs in configs_of_each(hosts, steps) {
                let mut behind = self.behind();
                for (n, config) in configs.into_iter().enumerate() {
                    let Some(router) = config.routers.get_mut(&name) else {
                        continue;
                    };
                    if n > 0 && self.percent(30) {
                        behind = self.behind();
                    }
                    router.behind = behind;
                }
            }
        }
        if !any {
            return;
        }
        for _ in 0..self.pick(&[0_u8, 1, 3, 6]) {
            let service = self.pick(services);
            let host = self.number(0..=last(hosts));
            let families: Vec<Family> = service.families.each().collect();
            let step = Step {
                after: self.pick(&[0, 1_000, 50_000, 500_000, 2_000_000]),
                action: match self.number(0..=9) {
                    0 => Action::Refuse {
                        host,
                        count: self.number(1..=8),
                    },
                    1 => Action::Flush { host },
                    _ => Action::Meddle {
                        host,
                        segment: service.segment,
                        vrid: service.vrid,
                        family: self.pick(&families),
                        how: self.pick(&MEDDLINGS),
                    },
                },
            };
            // The last step repairs everything, so new steps go before it.
            let place = self.number(0..=steps.len().saturating_sub(1));
            steps.insert(place, step);
        }
        end_with_mend(steps);
    }

    /// Lets the firewalls of some hosts drop advertisements for a time, while some routers take over
    /// nevertheless. Runs after the earlier generators, for the same reason as [`Self::delays`].
    fn firewalls(&mut self, hosts: &mut [HostSpec], steps: &mut Vec<Step>) {
        if !self.percent(40) {
            return;
        }
        for configs in configs_of_each(hosts, steps) {
            let distrusts = self.percent(15);
            for config in configs {
                let routers = config.routers.values_mut();
                routers.for_each(|router| router.trust_wire = !distrusts);
            }
        }
        for _ in 0..self.pick(&[1_u8, 2, 4, 6]) {
            let host = self.number(0..=last(hosts));
            let (after, action) = (
                self.pick(&[0, 1_000, 50_000, 500_000, 2_000_000, 5_000_000]),
                Action::Firewall {
                    host,
                    on: self.percent(70),
                },
            );
            // The last step repairs everything, so new steps go before it.
            let place = self.number(0..=steps.len().saturating_sub(1));
            steps.insert(place, Step { after, action });
        }
        end_with_mend(steps);
    }

    /// Gives some hosts commands of the operator. Runs after the earlier generators, for the same reason as
    /// [`Self::delays`].
    fn commands(&mut self, hosts: &[HostSpec], steps: &mut Vec<Step>) {
        if !self.percent(40) {
            return;
        }
        for _ in 0..self.pick(&[1_u8, 2, 4, 8]) {
            let host = self.number(0..=last(hosts));
            let order = self.order();
            let action = match self.number(0..=9) {
                0..=6 => Action::Command {
                    host,
                    order,
                    millis: self.pick(&[0, 1, 300, 2_000, 5_000, 20_000]),
                },
                7 | 8 => Action::EndCommand { host, order },
                _ => Action::Announce {
                    host,
                    router: self.pick(&[None, Some(0), Some(1)]),
                },
            };
            let after = self.pick(&[0, 1_000, 50_000, 500_000, 2_000_000, 5_000_000]);
            // The last step repairs everything, so new steps go before it.
            let place = self.number(0..=steps.len().saturating_sub(1));
            steps.insert(place, Step { after, action });
        }
        end_with_mend(steps);
    }

    fn order(&mut self) -> Order {
        let last_resort = self.percent(60);
        let router = self.number(0..=2);
        match self.number(0..=4) {
            0 | 1 => Order::Drain { last_resort },
            2 | 3 => Order::StepDown {
                router,
                last_resort,
            },
            _ => Order::Priority {
                router,
                priority: self.pick(&[1, 50, 99, 100, 101, 200, 254]),
            },
        }
    }

    /// Lets some services advertise no address: each configuration has none or leaves all of them out, and
    /// foreign routers are of the make that sends empty lists. Routers of version 2 hold IPv6 addresses that
    /// they leave out. Runs after the earlier generators, for the same reason as [`Self::delays`].
    fn unadvertised_services(
        &mut self,
        services: &[Service],
        hosts: &mut [HostSpec],
        foreign: &mut [ForeignSpec],
        steps: &mut [Step],
    ) {
        for service in services {
            let name = service.name();
            let advertises_none = self.percent(10);
            for config in configs_of_each(hosts, steps).into_iter().flatten() {
                let Some(router) = config.routers.get_mut(&name) else {
                    continue;
                };
                if advertises_none {
                    hide(router, &Family::ALL);
                    if self.percent(50) {
                        router.addresses.clear();
                    }
                } else if router.version == Version::V2 && router.priority < 255 && self.percent(30)
                {
                    router.families = Families::Both;
                    hide(router, &[Family::V6]);
                }
            }
            if !advertises_none {
                continue;
            }
            for router in foreign.iter_mut() {
                if router.config.vrid == service.vrid {
                    router.make = Make::Keepalived;
                    hide(&mut router.config, &Family::ALL);
                }
            }
            for step in steps.iter_mut() {
                if let Action::Junk { vrid, kinds, .. } = &mut step.action
                    && *vrid == service.vrid
                {
                    // These routers accept it.
                    *kinds &= !junk::NO_ADDRESSES;
                }
            }
        }
    }

    fn behind(&mut self) -> Behind {
        self.pick(&[
            Behind::Virtual,
            Behind::Virtual,
            Behind::Virtual,
            Behind::VirtualButAdverts,
            Behind::Own,
        ])
    }

    /// Makes the IPVS sync daemon follow a router on some hosts, and another router or none after some
    /// reloads.
    fn synchronisation(&mut self, hosts: &mut [HostSpec], steps: &mut [Step]) {
        for configs in configs_of_each(hosts, steps) {
            let mut synchronised = None;
            for (n, config) in configs.into_iter().enumerate() {
                if self.percent(if n == 0 { 50 } else { 30 }) {
                    let names: Vec<&String> = config.routers.keys().collect();
                    let is_some = !names.is_empty() && self.percent(75);
                    synchronised = is_some.then(|| self.pick(&names).clone());
                }
                config.synchronised.clone_from(&synchronised);
            }
        }
    }

    /// Lets the kernels of some hosts reject all addresses for a time. Runs after the earlier generators, for
    /// the same reason as [`Self::delays`].
    fn rejected_addresses(&mut self, hosts: &[HostSpec], steps: &mut Vec<Step>) {
        self.switched(hosts, steps, |host, on| Action::Forbid { host, on });
    }

    /// Lets some hosts drop their own advertisements for a time. Runs after the earlier generators, for the
    /// same reason as [`Self::delays`].
    fn dropped_output(&mut self, hosts: &[HostSpec], steps: &mut Vec<Step>) {
        self.switched(hosts, steps, |host, on| Action::DropOutput { host, on });
    }

    /// Switches something on some hosts on and off, in a fifth of the scenarios.
    fn switched(
        &mut self,
        hosts: &[HostSpec],
        steps: &mut Vec<Step>,
        switch: impl Fn(u8, bool) -> Action,
    ) {
        if !self.percent(20) || steps.is_empty() {
            return;
        }
        for _ in 0..self.pick(&[1_u8, 2, 4]) {
            let host = self.number(0..=last(hosts));
            let on = self.percent(70);
            let after = self.number(0..=3_000_000);
            // The last step repairs everything, so new steps go before it.
            let place = self.number(0..=steps.len() - 1);
            let action = switch(host, on);
            steps.insert(place, Step { after, action });
        }
        end_with_mend(steps);
    }

    /// Lets some routers go on without a link on their interface, some of them from a reload on or until
    /// one, with more events of such interfaces. Runs after the earlier generators, so that earlier bytes
    /// keep their meaning.
    fn untracked_interfaces(
        &mut self,
        services: &[Service],
        hosts: &mut [HostSpec],
        steps: &mut Vec<Step>,
    ) {
        if !self.percent(30) {
            return;
        }
        for configs in configs_of_each(hosts, steps) {
            let mut tracks = !self.percent(60);
            for (n, config) in configs.into_iter().enumerate() {
                tracks ^= n > 0 && self.percent(20);
                for router in config.routers.values_mut() {
                    router.track_interface = tracks;
                }
            }
        }
        for host in 0..=last(hosts) {
            let segment = self.pick(services).segment;
            for up in [false, true] {
                let action = if self.percent(50) {
                    Action::Cable {
                        host,
                        segment,
                        plugged: up,
                    }
                } else {
                    Action::Admin { host, segment, up }
                };
                if !steps.is_empty() && self.percent(70) {
                    let place = self.number(0..=steps.len() - 1);
                    let after = self.number(0..=3_000_000);
                    steps.insert(place, Step { after, action });
                }
            }
        }
    }

    /// Draws delays for a router with this interval in hundredths of a second: some below its
    /// master-down interval, some above.
    fn some_delays(&mut self, interval: u16) -> Delays {
        let interval = u32::from(interval) * 10;
        let mut delay = || {
            let intervals = self.pick(&[0, 0, 1, 3, 4, 9]);
            (interval * intervals + self.pick(&[0, 0, 1, 500])).min(1_000_000)
        };
        let (preempt, startup) = (delay(), delay());
        let announce = if self.percent(40) {
            AnnounceConfig::default()
        } else {
            AnnounceConfig {
                burst: self.pick(&[1, 1, 3, 100]),
                delay: self.pick(&[1_000, 0, 1, 300, 5_000]),
                refresh: self.pick(&[0, 0, 1_000, 1_500, 7_000]),
                on_lower_priority: !self.percent(20),
            }
        };
        Delays {
            preempt,
            startup,
            announce,
        }
    }

    /// Adds unicast peers, source addresses and HMAC configurations to some services, with the related
    /// events. Runs after the delays, for the same reason.
    fn ways(
        &mut self,
        services: &[Service],
        hosts: &mut [HostSpec],
        foreign: &mut [ForeignSpec],
        steps: &mut Vec<Step>,
    ) {
        for service in services {
            let sources: Vec<Option<Source>> = match self.percent(15) {
                true => hosts.iter().map(|_| self.source(service)).collect(),
                false => hosts.iter().map(|_| None).collect(),
            };
            if sources.iter().any(Option::is_some) {
                self.send_from(service, &sources, hosts, steps);
            }
            if self.percent(25) {
                self.speak_with_peers(service, &sources, hosts, foreign, steps);
            }
            if self.percent(25) {
                self.sign(service, hosts, steps);
            }
        }
    }

    /// Draws a source address for a host.
    fn source(&mut self, service: &Service) -> Option<Source> {
        if self.percent(25) {
            return None;
        }
        let families: Vec<Family> = service.families.each().collect();
        Some(Source {
            family: self.pick(&families),
            place: self.pick(&[Place::First, Place::Second, Place::Second, Place::Elsewhere]),
        })
    }

    /// Adds source addresses to the routers of a service, and events that delete and restore these
    /// addresses.
    fn send_from(
        &mut self,
        service: &Service,
        sources: &[Option<Source>],
        hosts: &mut [HostSpec],
        steps: &mut Vec<Step>,
    ) {
        for (host, source) in hosts.iter_mut().zip(sources) {
            host.second |= source.is_some_and(|source| source.place == Place::Second);
        }
        for (mut configs, source) in configs_of_each(hosts, steps).into_iter().zip(sources) {
            for (n, config) in configs.iter_mut().enumerate() {
                let Some(router) = config.routers.get_mut(&service.name()) else {
                    continue;
                };
                let other = n > 0 && self.percent(10);
                let chosen = if other { None } else { *source };
                // A source address of a family without virtual addresses is a configuration error.
                router.source = chosen.filter(|source| router.families.has(source.family));
            }
        }
        for _ in 0..self.pick(&[0, 1, 2, 4]) {
            let host = self.number(0..=last(hosts));
            let source = sources[usize::from(host)];
            let place = source.map_or(Place::First, |source| source.place);
            let segment = match place {
                Place::First | Place::Second => service.segment,
                Place::Elsewhere => (service.segment + 1) % SEGMENTS,
            };
            let action = Action::Own {
                host,
                segment,
                there: self.percent(40),
                families: self.pick(&[Families::Ipv4, Families::Ipv6, Families::Both]),
                second: place == Place::Second,
            };
            self.let_happen(service, steps, action);
        }
    }

    /// Makes the hosts of a service use unicast peers, and adds changes of the name resolution.
    fn speak_with_peers(
        &mut self,
        service: &Service,
        sources: &[Option<Source>],
        hosts: &mut [HostSpec],
        foreign: &mut [ForeignSpec],
        steps: &mut Vec<Step>,
    ) {
        let all = last(hosts);
        let named = self.pick(&[0, 0, 40, 100]);
        let (ttl, min_ttl) = self.pick(&[(255, 255), (255, 255), (255, 254), (64, 64)]);
        let list = |source: fn(&Option<Source>) -> Option<Source>, choices: &mut Self| {
            let hosts = (0..).zip(sources);
            hosts
                .map(|(station, known)| PeerConfig {
                    station,
                    source: source(known),
                    named: choices.percent(named),
                })
                .collect::<Vec<_>>()
        };
        let mut usual = UnicastConfig {
            peers: list(|source| *source, self),
            ttl,
            min_ttl,
        };
        for (station, router) in (all + 1..).zip(&mut *foreign) {
            let is_here = router.config.vrid == service.vrid;
            if is_here && self.percent(60) {
                router.config.unicast = Some(UnicastConfig {
                    peers: list(|source| *source, self),
                    ..usual.clone()
                });
                for peer in router.config.unicast.iter_mut().flat_map(|u| &mut u.peers) {
                    peer.named = false;
                }
                usual.peers.push(PeerConfig {
                    station,
                    source: None,
                    named: self.percent(named),
                });
            }
        }
        for (own, mut configs) in (0_u8..).zip(configs_of_each(hosts, steps)) {
            let mut chosen = self.some_peers(own, &usual);
            for (n, config) in configs.iter_mut().enumerate() {
                if n > 0 && self.percent(20) {
                    chosen = self.some_peers(own, &usual);
                }
                if let Some(router) = config.routers.get_mut(&service.name()) {
                    router.unicast.clone_from(&chosen);
                }
            }
        }
        for _ in 0..self.pick(&[0, 1, 2, 4]) {
            let action = Action::Name {
                station: self.number(0..=all),
                means: self.pick(&[
                    Meaning::Right,
                    Meaning::Nothing,
                    Meaning::Nothing,
                    Meaning::Wrong,
                ]),
            };
            self.let_happen(service, steps, action);
        }
    }

    /// Draws the peers of one host: in most cases all of them.
    fn some_peers(&mut self, own: u8, usual: &UnicastConfig) -> Option<UnicastConfig> {
        let mut unicast = usual.clone();
        match self.number(0..=19) {
            0 => return None,
            1 => unicast.ttl = 64,
            2 => (unicast.ttl, unicast.min_ttl) = (255, 255),
            3 | 4 => {
                let gone = self.number(0..=unicast.peers.len() - 1);
                unicast.peers.remove(gone);
            }
            5..=7 => unicast.peers.retain(|peer| peer.station != own),
            8 => unicast
                .peers
                .iter_mut()
                .for_each(|peer| peer.named = !peer.named),
            _ => {}
        }
        // The daemon rejects a list of peers without another station.
        unicast
            .peers
            .iter()
            .any(|peer| peer.station != own)
            .then_some(unicast)
    }

    /// Makes the hosts of a service sign their advertisements, and adds replays, forgeries and clock
    /// changes.
    fn sign(&mut self, service: &Service, hosts: &mut [HostSpec], steps: &mut Vec<Step>) {
        let usual = HmacConfig {
            active: 1,
            others: vec![2],
            mode: HmacMode::Enforce,
            window: self.pick(&[3, 15, 15, 0]),
        };
        for mut configs in configs_of_each(hosts, steps) {
            let mut chosen = self.some_hmac(&usual);
            for (n, config) in configs.iter_mut().enumerate() {
                if n > 0 && self.percent(30) {
                    chosen = self.some_hmac(&usual);
                }
                if let Some(router) = config.routers.get_mut(&service.name()) {
                    router.hmac.clone_from(&chosen);
                    router.password &= chosen.is_none();
                }
            }
        }
        for _ in 0..self.pick(&[0, 1, 2, 4]) {
            let (host, segment) = (self.number(0..=last(hosts)), service.segment);
            let action = match self.number(0..=4) {
                0 | 1 => Action::Clock {
                    host,
                    ahead: self.pick(&[-20, -10, 0, 10, 20]),
                },
                2 | 3 => Action::Repeat {
                    segment,
                    from: self.number(0..=255),
                    count: self.number(1..=20),
                    renamed: self.percent(20),
                },
                _ => Action::Forge {
                    segment,
                    vrid: service.vrid,
                    version: service.version,
                    count: self.number(1..=20),
                    ways: self.number(1..=0x1ff),
                },
            };
            self.let_happen(service, steps, action);
        }
    }

    /// Draws the HMAC configuration of one host: in most cases the usual one.
    fn some_hmac(&mut self, usual: &HmacConfig) -> Option<HmacConfig> {
        let mut hmac = usual.clone();
        match self.number(0..=19) {
            0 => return None,
            1 => (hmac.active, hmac.others) = (3, vec![1, 2]),
            2 => hmac.others.clear(),
            3..=5 => (hmac.active, hmac.others) = (2, vec![1]),
            6 | 7 => hmac.mode = HmacMode::Permissive,
            8 | 9 => hmac.mode = HmacMode::ReceiveOnly,
            10 => hmac.window = 15,
            _ => {}
        }
        Some(hmac)
    }

    /// Inserts an action at a random position.
    fn let_happen(&mut self, service: &Service, steps: &mut Vec<Step>, action: Action) {
        let interval = u64::from(service.interval) * 10_000;
        let after = match self.number(0..=3) {
            0 => self.number(0..=1_000),
            1 | 2 => self.number(0..=2 * interval),
            _ => self.number(0..=6 * interval + 1_200_000),
        };
        if steps.is_empty() {
            let action = Action::Mend;
            steps.push(Step { after, action });
        }
        let at = self.number(0..=steps.len() - 1);
        steps.insert(at, Step { after, action });
    }

    /// Changes a configuration in one respect, or not.
    fn change(&mut self, config: &mut Config, services: &[Service]) {
        let service = self.pick(services);
        let name = service.name();
        let Some(router) = config.routers.get_mut(&name) else {
            let router = self.router(&service);
            config.routers.insert(name, router);
            return;
        };
        match self.number(0..=13) {
            0 | 1 => router.priority = self.priority(),
            2 => self.set_interval(router, 100),
            3 => router.preempt = !router.preempt,
            4 | 5 => {
                router.addresses = self.addresses(&service);
                router.unadvertised = self.unadvertised(router.families, &router.addresses);
                // An owner owns one address at most.
                if router.priority == 255 {
                    router.addresses.truncate(1);
                }
            }
            6 => router.tracks = self.tracks(),
            7 => {
                router.version = other(router.version);
                router.families = known_to(router.version, service.families);
                router.unadvertised.clear();
                self.set_interval(router, 0);
            }
            8 => drop(config.routers.remove(&name)),
            9 => {
                // Another virtual router with the same name, or the original one again.
                router.vrid = if router.vrid == service.vrid {
                    service.vrid + 10
                } else {
                    service.vrid
                };
            }
            10 => router.accept = !router.accept,
            // An owner has its own addresses, in its initial families.
            11 if router.priority < 255 => {
                let families = self.pick(&[Families::Ipv4, Families::Ipv6, Families::Both]);
                router.families = known_to(router.version, families);
                router.unadvertised = self.unadvertised(router.families, &router.addresses);
            }
            12 => router.routes = self.numbers(&service),
            13 => router.rules = self.numbers(&service),
            _ => {}
        }
    }
}

/// Possible manual changes of interfaces with virtual MAC addresses, with weights.
const MEDDLINGS: [Meddling; 11] = [
    Meddling::Delete,
    Meddling::Delete,
    Meddling::Rename,
    Meddling::Up,
    Meddling::Up,
    Meddling::Down,
    Meddling::Down,
    Meddling::Address,
    Meddling::Address,
    Meddling::TakeName,
    Meddling::TakeAddress,
];

/// Leaves all addresses of these families out of the advertisements.
fn hide(router: &mut RouterConfig, families: &[Family]) {
    let numbers = &router.addresses;
    let of = |family| numbers.iter().map(move |number| (family, *number));
    router.unadvertised = families.iter().copied().flat_map(of).collect();
}

/// Returns the configurations of each host: the initial one, and those of its reloads.
fn configs_of_each<'c>(
    hosts: &'c mut [HostSpec],
    steps: &'c mut [Step],
) -> Vec<Vec<&'c mut Config>> {
    let first = hosts.iter_mut().map(|host| vec![&mut host.config]);
    let mut all: Vec<Vec<&mut Config>> = first.collect();
    for step in steps {
        if let Action::Reload { host, config } = &mut step.action
            && let Some(configs) = all.get_mut(usize::from(*host))
        {
            configs.push(config);
        }
    }
    all
}

/// Appends a step that repairs everything, unless there is one.
fn end_with_mend(steps: &mut Vec<Step>) {
    if steps.iter().all(|step| step.action != Action::Mend) {
        let (after, action) = (0, Action::Mend);
        steps.push(Step { after, action });
    }
}

fn last(hosts: &[HostSpec]) -> u8 {
    u8::try_from(hosts.len().saturating_sub(1)).unwrap_or(u8::MAX)
}

/// Families of most routers, with weights.
const FAMILIES: [Families; 4] = [
    Families::Ipv4,
    Families::Ipv4,
    Families::Ipv6,
    Families::Both,
];

/// The part of `families` that a version supports.
const fn known_to(version: Version, families: Families) -> Families {
    match version {
        Version::V2 => Families::Ipv4,
        Version::V3 => families,
    }
}

const fn other(version: Version) -> Version {
    match version {
        Version::V2 => Version::V3,
        Version::V3 => Version::V2,
    }
}

/// Returns the interval closest to `centiseconds` that a version can encode.
fn sayable(version: Version, centiseconds: u16) -> u16 {
    match version {
        Version::V2 => centiseconds.div_ceil(100).clamp(1, 255) * 100,
        Version::V3 => centiseconds.clamp(1, 4095),
    }
}
