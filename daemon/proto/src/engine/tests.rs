//! Tests of the engine through its public interface: timed inputs, and outputs as lines of text.

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
mod listening;
mod lvs;
mod names;
mod packets;
mod property;
mod reload;
mod rig;
mod routing;
mod sleep;
mod solicit;
mod trackers;
mod unicast;
mod without_addresses;
mod witness;
