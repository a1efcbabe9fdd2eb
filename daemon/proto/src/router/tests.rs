//! The state machine alone: events with a time go in, reactions come out.

mod announcements;
mod backup;
mod families;
mod master;
mod patience;
mod rig;
mod settings;
mod sleep;
mod start;
mod table;
mod times;
