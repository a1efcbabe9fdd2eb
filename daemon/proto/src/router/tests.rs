//! Tests of the state machine alone: events at given times, and the reactions to them.

mod announcements;
mod backup;
mod contest;
mod families;
mod hold_off;
mod master;
mod rig;
mod settings;
mod sleep;
mod start;
mod table;
mod times;
