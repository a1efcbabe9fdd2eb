//! The state machine alone: events with a time go in, reactions come out.

mod announcements;
mod backup;
mod families;
mod hold_off;
mod master;
mod rig;
mod settings;
mod sleep;
mod start;
mod table;
mod times;
