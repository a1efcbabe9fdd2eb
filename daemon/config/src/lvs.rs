//! The kernel's IPVS sync thread in the configuration: interface and parameters of the connection
//! synchronisation.

use core::net::IpAddr;
use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use vrrp_proto::Vrid;
use vrrp_proto::params::LvsSync;

use crate::field::Field;
use crate::problem::{Findings, Path};
use crate::unicast::Ttl;
use crate::value::{BoundedInteger, InterfaceName, Number, Port};

/// Parameters of the kernel's IPVS sync thread (ipvsadm(8), `--start-daemon`); the same on all
/// hosts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Lvs {
    /// Sync ID, 0 to 255: a backup ignores messages with another ID; with 0 it accepts all.
    /// Default: the `virtualRouterId`.
    #[serde(default)]
    pub(crate) sync_id: Field<BoundedInteger<SyncId>>,
    /// Maximum length of a message in bytes, 1024 to 65507, or 65487 with an IPv6 group. Default:
    /// 1472, or 1452 for IPv6, which fit into an Ethernet frame.
    #[serde(default)]
    pub(crate) max_length: Field<BoundedInteger<MaxLength>>,
    /// UDP port, 1 to 65535; with several sync threads (`net.ipv4.vs.sync_ports`) the first of
    /// their ports. Default: 8848.
    #[serde(default = "default::port")]
    pub(crate) port: Field<BoundedInteger<Port>>,
    /// TTL or hop limit of the messages, 1 to 255. Default: 1.
    #[serde(default = "default::ttl")]
    pub(crate) ttl: Field<BoundedInteger<Ttl>>,
    /// Multicast group of the messages. Default: 224.0.0.81.
    #[serde(default = "default::group")]
    pub(crate) group: Field<Group>,
}

/// Returns the parameters for the engine of an instance that synchronises connections on `interface`. Without
/// an interface it does not. `None` if a problem has been reported.
pub(crate) fn lower(
    path: &Path,
    lvs: &Field<Lvs>,
    interface: &Field<InterfaceName>,
    vrid: &Field<BoundedInteger<Vrid>>,
    findings: &mut Findings,
) -> Option<Option<Arc<LvsSync>>> {
    let given = lvs.optional()?;
    let Some(interface) = interface.optional()? else {
        return Some(None);
    };
    let Some(lvs) = given else {
        let sync_id = vrid.value()?.0.get();
        return Some(Some(LvsSync::new(interface.0.clone(), sync_id).into()));
    };
    let sync_id = match lvs.sync_id.optional()? {
        Some(BoundedInteger(SyncId(given))) => *given,
        None => vrid.value()?.0.get(),
    };
    let group = lvs.group.value()?.0;
    let max_length = match lvs.max_length.optional()? {
        Some(BoundedInteger(MaxLength(given))) => *given,
        None => LvsSync::default_length(group),
    };
    let longest = LvsSync::longest(group);
    if max_length > longest {
        let message = format!("must be at most {longest}: an IPv6 packet has no room for more");
        findings.add(&path.key("maxLength"), message);
    }
    let sync = LvsSync {
        interface: interface.0.clone(),
        sync_id,
        max_length,
        port: lvs.port.value()?.0.0,
        ttl: lvs.ttl.value()?.0.0,
        group,
    };
    Some(Some(sync.into()))
}

/// Sync ID: 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SyncId(pub(crate) u8);

impl Number for SyncId {
    const RANGE: (i64, i64) = (0, 255);
    const RULE: &'static str = "must be 0 to 255";

    fn from_number(number: i64) -> Option<Self> {
        u8::try_from(number).ok().map(Self)
    }

    fn number(self) -> i64 {
        self.0.into()
    }
}

/// Maximum length of a message in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MaxLength(pub(crate) u16);

impl Number for MaxLength {
    const RANGE: (i64, i64) = (
        LvsSync::LEAST_LENGTH as i64,
        LvsSync::longest(LvsSync::DEFAULT_GROUP) as i64,
    );
    const RULE: &'static str = "must be 1024 to 65507 bytes";

    fn from_number(number: i64) -> Option<Self> {
        let (least, greatest) = Self::RANGE;
        let length = u16::try_from(number).ok()?;
        (least..=greatest).contains(&number).then_some(Self(length))
    }

    fn number(self) -> i64 {
        self.0.into()
    }
}

/// Multicast group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group(pub(crate) IpAddr);

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const RULE: &str = "must be a multicast group, like 224.0.0.81 or ff02::51";
        let text = String::deserialize(deserializer)?;
        let group = text.parse::<IpAddr>().ok();
        group
            .filter(IpAddr::is_multicast)
            .map(Self)
            .ok_or_else(|| de::Error::custom(RULE))
    }
}

impl Serialize for Group {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl JsonSchema for Group {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Group".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^(2(2[4-9]|3[0-9])(\.[0-9]{1,3}){3}|[Ff][Ff][0-9A-Fa-f]{2}:[0-9A-Fa-f:.]*)$",
            "examples": ["224.0.0.81", "ff02::51"],
        })
    }
}

mod default {
    use super::{BoundedInteger, Field, Group, LvsSync, Port, Ttl};

    pub(super) const fn port() -> Field<BoundedInteger<Port>> {
        Field::Value(BoundedInteger(Port(LvsSync::DEFAULT_PORT)))
    }

    pub(super) const fn ttl() -> Field<BoundedInteger<Ttl>> {
        Field::Value(BoundedInteger(Ttl(LvsSync::DEFAULT_TTL)))
    }

    pub(super) const fn group() -> Field<Group> {
        Field::Value(Group(LvsSync::DEFAULT_GROUP))
    }
}
