//! Packets to addresses that are not to be accepted: the table is made when the configuration first
//! asks for it, kept as it should be, and deleted when nothing needs it. The engine hears whether that
//! works, because a router that has to refuse and cannot is in fault.

use tracing::Level;
use vrrp_linux::refuse::{CannotRefuse, remove_leftover};
use vrrp_proto::{Input, Instant};

use super::{Node, REFUSER, SECOND_LOOK};

impl Node {
    /// Has the table ready before a router needs it.
    pub(super) fn prepare_refuser(&mut self, now: Instant) {
        if !self.refuses {
            return;
        }
        let poller = &self.poller;
        match self.refuser.prepare(|watch| poller.add(watch, REFUSER)) {
            Ok(()) => self.engine.handle(now, Input::Refusal(None)),
            Err(error) => self.cannot_refuse(now, &error),
        }
    }

    /// Tells the engine that packets cannot be refused, and tries again later.
    pub(super) fn cannot_refuse(&mut self, now: Instant, error: &CannotRefuse) {
        self.complaints
            .tell(Level::ERROR, format!("{error}; trying again every second"));
        let reason = Some(error.to_string().into());
        self.engine.handle(now, Input::Refusal(reason));
        self.look_again_at = Some(now + SECOND_LOOK);
    }

    /// Undoes what somebody else did to the table. When that comes too often, two are at odds about it:
    /// then once a second.
    pub(super) fn take_changes_of_refusals(&mut self, now: Instant) {
        match self.refuser.was_touched() {
            Ok(false) => return,
            Ok(true) => {}
            Err(error) => {
                let text = format!("cannot hear of changes of nf_tables: {error}");
                self.complaints.tell(Level::ERROR, text);
            }
        }
        let lately = |at| now.since(at) < SECOND_LOOK;
        if self.repaired_at.is_some_and(lately) {
            self.look_again_at.get_or_insert(now + SECOND_LOOK);
            return;
        }
        self.repaired_at = Some(now);
        match self.refuser.repair() {
            Ok(()) => {
                let text = "somebody changed the table inet vrrpd, by which packets to addresses with \
                            acceptMode = false are refused; it was made anew";
                self.complaints.tell(Level::WARN, text.to_owned());
            }
            Err(error) => self.cannot_refuse(now, &error),
        }
    }

    /// Takes away what an earlier daemon refused, when this one refuses nothing.
    pub(super) fn remove_former_refusals(&mut self) {
        if self.refuses {
            return;
        }
        match remove_leftover() {
            Ok(false) => {}
            Ok(true) => {
                let text = "left by an earlier run: the table inet vrrpd of nf_tables; deleted";
                self.log.note(Level::WARN, text.to_owned());
            }
            Err(error) => self.complaints.tell(Level::WARN, error.to_string()),
        }
    }

    /// Deletes the table when nothing needs it any longer.
    pub(super) fn retire_refuser(&mut self) {
        if let Err(error) = self.refuser.retire() {
            self.complaints.tell(Level::WARN, error.to_string());
        }
    }
}
