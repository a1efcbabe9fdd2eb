//! Codec of the IPVS sync daemon commands (linux/ip_vs.h) in generic netlink (linux/genetlink.h).

use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{
    DefaultNla, Emitable, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkSerializable, NlasIterator,
};
use vrrp_proto::LvsRole;
use vrrp_proto::params::LvsSync;

use crate::netlink::Message;
use vrrp_node::lvs::{Change, Shown};

/// A message of generic netlink: struct genlmsghdr and attributes.
struct Generic {
    family: u16,
    command: u8,
    attributes: Vec<DefaultNla>,
}

impl NetlinkSerializable for Generic {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        HEADER_LEN + self.attributes.as_slice().buffer_len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let (header, attributes) = buffer.split_at_mut(HEADER_LEN);
        header.copy_from_slice(&[self.command, VERSION, 0, 0]);
        self.attributes.as_slice().emit(attributes);
    }
}

impl Generic {
    fn request(self, flags: u16, sequence: u32) -> Vec<u8> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = sequence;
        let mut message = NetlinkMessage::new(header, self.into());
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }
}

impl From<Generic> for netlink_packet_core::NetlinkPayload<Generic> {
    fn from(message: Generic) -> Self {
        Self::InnerMessage(message)
    }
}

/// Encodes the request for the number of the family IPVS. Where the family is missing, the kernel tries
/// to load its module.
pub(super) fn find_family(sequence: u32) -> Vec<u8> {
    let message = Generic {
        family: GENL_ID_CTRL,
        command: CTRL_CMD_GETFAMILY,
        attributes: vec![text(CTRL_ATTR_FAMILY_NAME, IPVS_GENL_NAME)],
    };
    message.request(NLM_F_ACK, sequence)
}

/// Number of the family in the answer.
pub(super) fn family(message: &Message<'_>) -> Option<u16> {
    let value = attribute(message.body.get(HEADER_LEN..)?, CTRL_ATTR_FAMILY_ID)?;
    Some(u16::from_ne_bytes(value.try_into().ok()?))
}

/// Encodes the request that lists the sync daemons.
pub(super) fn show(family: u16, sequence: u32) -> Vec<u8> {
    let message = Generic {
        family,
        command: IPVS_CMD_GET_DAEMON,
        attributes: Vec::new(),
    };
    message.request(NLM_F_DUMP, sequence)
}

/// A sync daemon in the answer. Kernels before 4.3 send neither lengths nor groups, because they
/// support only one value of each: those of `LvsSync`'s defaults.
pub(super) fn shown(message: &Message<'_>) -> Option<Shown> {
    let daemon = attribute(message.body.get(HEADER_LEN..)?, IPVS_CMD_ATTR_DAEMON)?;
    let value = |kind| attribute(daemon, kind);
    let number = |kind| Some(u32::from_ne_bytes(value(kind)?.try_into().ok()?));
    let short = |kind| Some(u16::from_ne_bytes(value(kind)?.try_into().ok()?));
    let role = match number(IPVS_DAEMON_ATTR_STATE)? {
        IP_VS_STATE_MASTER => LvsRole::Master,
        IP_VS_STATE_BACKUP => LvsRole::Backup,
        _ => return None,
    };
    let interface = CStr::from_bytes_until_nul(value(IPVS_DAEMON_ATTR_MCAST_IFN)?).ok()?;
    let sync_id = u8::try_from(number(IPVS_DAEMON_ATTR_SYNC_ID)?).ok()?;
    let v4 = || value(IPVS_DAEMON_ATTR_MCAST_GROUP)?.first_chunk().copied();
    let v6 = || value(IPVS_DAEMON_ATTR_MCAST_GROUP6)?.first_chunk().copied();
    let group = v4().map(|group: [u8; 4]| IpAddr::V4(Ipv4Addr::from(group)));
    let group = group.or_else(|| v6().map(|group: [u8; 16]| IpAddr::V6(Ipv6Addr::from(group))));
    let default = LvsSync::new(interface.to_str().ok()?.into(), sync_id);
    let sync = LvsSync {
        max_length: short(IPVS_DAEMON_ATTR_SYNC_MAXLEN).unwrap_or(default.max_length),
        port: short(IPVS_DAEMON_ATTR_MCAST_PORT).unwrap_or(default.port),
        ttl: value(IPVS_DAEMON_ATTR_MCAST_TTL)
            .and_then(|ttl| ttl.first().copied())
            .unwrap_or(default.ttl),
        group: group.unwrap_or(default.group),
        ..default
    };
    Some(Shown { role, sync })
}

/// Encodes the request that carries out `change`.
pub(super) fn request(change: &Change, family: u16, sequence: u32) -> Vec<u8> {
    let (command, daemon) = match change {
        Change::Start(role, sync) => (IPVS_CMD_NEW_DAEMON, settings(*role, sync)),
        Change::Stop(role) => (IPVS_CMD_DEL_DAEMON, vec![state(*role)]),
    };
    let mut nested = vec![0; daemon.as_slice().buffer_len()];
    daemon.as_slice().emit(&mut nested);
    let message = Generic {
        family,
        command,
        attributes: vec![DefaultNla::new(IPVS_CMD_ATTR_DAEMON | NLA_F_NESTED, nested)],
    };
    message.request(NLM_F_ACK, sequence)
}

fn settings(role: LvsRole, sync: &LvsSync) -> Vec<DefaultNla> {
    let number = |kind, value: u32| DefaultNla::new(kind, value.to_ne_bytes().to_vec());
    let short = |kind, value: u16| DefaultNla::new(kind, value.to_ne_bytes().to_vec());
    let group = match sync.group {
        IpAddr::V4(group) => (IPVS_DAEMON_ATTR_MCAST_GROUP, group.octets().to_vec()),
        IpAddr::V6(group) => (IPVS_DAEMON_ATTR_MCAST_GROUP6, group.octets().to_vec()),
    };
    vec![
        state(role),
        text(IPVS_DAEMON_ATTR_MCAST_IFN, &sync.interface),
        number(IPVS_DAEMON_ATTR_SYNC_ID, sync.sync_id.into()),
        short(IPVS_DAEMON_ATTR_SYNC_MAXLEN, sync.max_length),
        DefaultNla::new(group.0, group.1),
        short(IPVS_DAEMON_ATTR_MCAST_PORT, sync.port),
        DefaultNla::new(IPVS_DAEMON_ATTR_MCAST_TTL, vec![sync.ttl]),
    ]
}

fn state(role: LvsRole) -> DefaultNla {
    let state = match role {
        LvsRole::Master => IP_VS_STATE_MASTER,
        LvsRole::Backup => IP_VS_STATE_BACKUP,
    };
    DefaultNla::new(IPVS_DAEMON_ATTR_STATE, state.to_ne_bytes().to_vec())
}

fn text(kind: u16, text: &str) -> DefaultNla {
    DefaultNla::new(kind, [text.as_bytes(), b"\0"].concat())
}

/// Value of the first attribute of a kind.
fn attribute(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    let found = NlasIterator::new(attributes)
        .map_while(Result::ok)
        .find(|attribute| attribute.kind() == kind)?;
    let length = usize::from(found.length());
    found.into_inner().get(NLA_HEADER_LEN..length)
}

// Of linux/netlink.h.
const NLA_F_NESTED: u16 = 0x8000;
const NLA_HEADER_LEN: usize = 4;

// Of linux/genetlink.h.
const HEADER_LEN: usize = 4;
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

/// Version of both families, IPVS and the controller.
const VERSION: u8 = 1;

// Of linux/ip_vs.h.
const IPVS_GENL_NAME: &str = "IPVS";
const IPVS_CMD_NEW_DAEMON: u8 = 9;
const IPVS_CMD_DEL_DAEMON: u8 = 10;
const IPVS_CMD_GET_DAEMON: u8 = 11;
const IPVS_CMD_ATTR_DAEMON: u16 = 3;
const IPVS_DAEMON_ATTR_STATE: u16 = 1;
const IPVS_DAEMON_ATTR_MCAST_IFN: u16 = 2;
const IPVS_DAEMON_ATTR_SYNC_ID: u16 = 3;
const IPVS_DAEMON_ATTR_SYNC_MAXLEN: u16 = 4;
const IPVS_DAEMON_ATTR_MCAST_GROUP: u16 = 5;
const IPVS_DAEMON_ATTR_MCAST_GROUP6: u16 = 6;
const IPVS_DAEMON_ATTR_MCAST_PORT: u16 = 7;
const IPVS_DAEMON_ATTR_MCAST_TTL: u16 = 8;
const IP_VS_STATE_MASTER: u32 = 1;
const IP_VS_STATE_BACKUP: u32 = 2;

/// The kernel's side of the protocol, for the fake kernel of the tests.
#[cfg(test)]
pub(super) mod kernel {
    use super::*;

    pub(in super::super) const CONTROLLER: u16 = GENL_ID_CTRL;

    /// Encodes the answer to [`find_family`].
    pub(in super::super) fn tell_family(family: u16, sequence: u32) -> Vec<u8> {
        let message = Generic {
            family: GENL_ID_CTRL,
            command: 1,
            attributes: vec![
                text(CTRL_ATTR_FAMILY_NAME, IPVS_GENL_NAME),
                DefaultNla::new(CTRL_ATTR_FAMILY_ID, family.to_ne_bytes().to_vec()),
            ],
        };
        message.request(0, sequence)
    }

    /// Encodes one part of the answer to [`show`], which has the form of a request.
    pub(in super::super) fn tell(shown: &Shown, family: u16, sequence: u32) -> Vec<u8> {
        let change = Change::Start(shown.role, shown.sync.clone().into());
        request(&change, family, sequence)
    }

    /// Parses the requested change, if any.
    pub(in super::super) fn read(message: &Message<'_>) -> Option<Change> {
        match *message.body.first()? {
            IPVS_CMD_NEW_DAEMON => {
                let Shown { role, sync } = shown(message)?;
                Some(Change::Start(role, sync.into()))
            }
            IPVS_CMD_DEL_DAEMON => {
                let daemon = attribute(&message.body[HEADER_LEN..], IPVS_CMD_ATTR_DAEMON)?;
                let state = attribute(daemon, IPVS_DAEMON_ATTR_STATE)?;
                let is_master = state == IP_VS_STATE_MASTER.to_ne_bytes();
                Some(Change::Stop(match is_master {
                    true => LvsRole::Master,
                    false => LvsRole::Backup,
                }))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
