//! The engine through its border: inputs with a time go in, outputs come out as lines of text.

mod accept;
mod addresses;
mod attachments;
mod devices;
mod differences;
mod families;
mod grace;
mod groups;
mod hmac;
mod inhibited;
mod interfaces;
mod life;
mod lvs;
mod packets;
mod property;
mod reload;
mod rig;
mod routing;
mod sleep;
mod trackers;
mod unicast;
