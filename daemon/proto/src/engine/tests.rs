//! The engine through its border: inputs with a time go in, outputs come out as lines of text.

mod accept;
mod addresses;
mod devices;
mod drift;
mod families;
mod grace;
mod groups;
mod hindered;
mod hmac;
mod interfaces;
mod life;
mod lvs;
mod packets;
mod property;
mod reload;
mod rig;
mod routing;
mod seats;
mod sleep;
mod trackers;
mod unicast;
