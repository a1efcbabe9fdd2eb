//! Routes as the kernel holds them, and changes of routes and rules.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use vrrp_proto::InterfaceIndex;
use vrrp_proto::routing::{Route, RoutePlace, Routed, Rule, Scope};

/// Route as the kernel holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Key of the route: table, destination and metric.
    pub place: RoutePlace,
    /// Type of service; 0 is any. A part of the kernel's key that the daemon's routes never use.
    pub tos: u8,
    /// Scope.
    pub scope: Scope,
    /// Preferred source address.
    pub source: Option<IpAddr>,
    /// Next hops.
    pub legs: Vec<Leg>,
    /// Whether the route has an attribute that a configured route cannot have.
    pub odd: bool,
}

/// Next hop as the kernel holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leg {
    /// Address of the gateway, if there is one.
    pub gateway: Option<IpAddr>,
    /// Device. A requested next hop may have none; then the kernel finds it from the gateway.
    pub device: Option<InterfaceIndex>,
    /// Share of the traffic, 1 to 256.
    pub weight: u16,
    /// Whether the gateway counts as directly reachable without a matching route (RTNH_F_ONLINK).
    pub on_link: bool,
}

impl Leg {
    /// Whether `shown` is how the kernel shows this next hop.
    fn fits(self, shown: Self) -> bool {
        let device = self.device.or(shown.device);
        Self { device, ..self } == shown
    }
}

impl Installed {
    /// Whether the kernel may delete the route when `device` goes down. A route without a configured device
    /// may use any device.
    pub fn may_lead_over(&self, device: InterfaceIndex) -> bool {
        let mut legs = self.legs.iter();
        legs.any(|leg| leg.device.is_none_or(|known| known == device))
    }

    /// Whether `shown` is how the kernel shows this route.
    pub fn fits(&self, shown: &Self) -> bool {
        self.legs.len() == shown.legs.len() && self.missing_in(shown).is_some_and(|m| m.is_empty())
    }

    /// Returns the next hops that `shown` lacks, or `None` if the routes differ in anything else.
    pub fn missing_in(&self, shown: &Self) -> Option<Vec<Leg>> {
        let is_same = (self.place, self.tos, self.scope, self.source, self.odd)
            == (shown.place, shown.tos, shown.scope, shown.source, shown.odd);
        if !is_same {
            return None;
        }
        // The kernel may show the next hops of an IPv6 route in another order than requested.
        let mut missing = self.legs.clone();
        for leg in &shown.legs {
            let place = missing.iter().position(|wanted| wanted.fits(*leg))?;
            missing.swap_remove(place);
        }
        Some(missing)
    }
}

/// Change of the kernel's routes or rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds a route.
    AddRoute {
        /// Name of the router that the route follows.
        router: Arc<str>,
        /// Route as configured.
        route: Route,
        /// Route in the kernel's form.
        installed: Installed,
    },
    /// Restores next hops of a multipath route that the kernel removed (IPv6).
    ExtendRoute {
        /// Name of the router that the route follows.
        router: Arc<str>,
        /// Route as configured.
        route: Route,
        /// Complete route in the kernel's form.
        installed: Installed,
        /// Missing next hops.
        missing: Vec<Leg>,
    },
    /// Deletes a route.
    DeleteRoute(Installed),
    /// Adds a rule.
    AddRule {
        /// Name of the router that the rule follows.
        router: Arc<str>,
        /// The rule.
        rule: Rule,
    },
    /// Deletes a rule.
    DeleteRule(Rule),
}

impl Change {
    /// Whether this is a deletion. Deletions are made before all changes of addresses, the other changes
    /// after them.
    pub const fn deletes(&self) -> bool {
        matches!(self, Self::DeleteRoute(_) | Self::DeleteRule(_))
    }

    /// Route or rule that is added or deleted.
    pub fn what(&self) -> Routed {
        match self {
            Self::AddRoute { installed, .. }
            | Self::ExtendRoute { installed, .. }
            | Self::DeleteRoute(installed) => Routed::Route(installed.place),
            Self::AddRule { rule, .. } | Self::DeleteRule(rule) => Routed::Rule(rule.clone()),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddRoute { route, .. } => write!(f, "add the route {route}"),
            Self::ExtendRoute { route, missing, .. } => {
                let count = missing.len();
                write!(
                    f,
                    "restore next hops ({count} missing) of the route {route}"
                )
            }
            Self::DeleteRoute(installed) => write!(f, "delete the route {}", installed.place),
            Self::AddRule { rule, .. } => write!(f, "add the rule {rule}"),
            Self::DeleteRule(rule) => write!(f, "delete the rule {rule}"),
        }
    }
}

/// Desired change that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("{}cannot {what}: {why}", self.whose())]
pub struct Failure {
    /// Name of the router that needs the change; none for the cleanup after an earlier run.
    pub router: Option<Arc<str>>,
    /// Change that cannot be made, as text.
    pub what: String,
    /// Reason, as text.
    pub why: String,
}

impl Failure {
    /// Returns the failure of a change that the kernel rejected with `error` and, if it sent one, an
    /// `explanation` (extended acknowledgement).
    pub fn refused(change: &Change, error: &io::Error, explanation: Option<String>) -> Self {
        let router = match change {
            Change::AddRoute { router, .. }
            | Change::ExtendRoute { router, .. }
            | Change::AddRule { router, .. } => Some(Arc::clone(router)),
            Change::DeleteRoute(_) | Change::DeleteRule(_) => None,
        };
        let why = match (error.kind(), explanation) {
            (io::ErrorKind::AlreadyExists, _) => {
                "the kernel already holds one that another program added: delete that, or choose \
                 another metric, priority or table"
                    .to_owned()
            }
            (_, Some(explanation)) => format!("{explanation} ({error})"),
            (_, None) => error.to_string(),
        };
        Self {
            router,
            what: change.to_string(),
            why,
        }
    }

    fn whose(&self) -> String {
        let prefix = |router: &Arc<str>| format!("{router}: ");
        self.router.as_ref().map(prefix).unwrap_or_default()
    }
}
