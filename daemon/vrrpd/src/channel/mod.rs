//! Channels between the thread of the node and the services. The node receives [`Message`]s and
//! sends [`NodeEvent`]s. Both are values without references to the other side, so that they can
//! cross the border between two processes.

mod events;
mod inbox;

pub(crate) use self::events::{EventSender, NodeEvent, NodeEvents};
pub(crate) use self::inbox::{Effect, Inbox, Message, Messages, Operation, Outcome};
