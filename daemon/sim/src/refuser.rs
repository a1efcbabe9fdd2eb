//! Refusing packets to addresses as the daemon does it (`vrrp_linux::refuse`), with the model of a
//! kernel instead of nf_tables. What is refused when is worked out by the daemon's own code.

use vrrp_linux::mirror::Mirror;
use vrrp_linux::refusals::{Refusal, Refusals};
use vrrp_proto::Desired;

use crate::kernel::{Kernel, Transaction};

/// What a daemon has of it.
#[derive(Debug, Default)]
pub(crate) struct Refuser {
    refusals: Refusals,
    is_open: bool,
    in_place: bool,
}

/// The kernel refuses to refuse packets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CannotRefuse;

impl Refuser {
    pub(crate) fn adopt(&mut self, mirror: &Mirror) {
        self.refusals.adopt(mirror);
    }

    pub(crate) fn prepare(&mut self, kernel: &mut Kernel) -> Result<(), CannotRefuse> {
        self.is_open = true;
        self.repair(kernel)
    }

    pub(crate) fn cover(
        &mut self,
        desired: &[&Desired],
        kernel: &mut Kernel,
    ) -> Result<(), CannotRefuse> {
        let mut missing = Vec::new();
        for desired in desired {
            self.refusals.want(desired, &mut missing);
        }
        if missing.is_empty() {
            return Ok(());
        }
        self.change(kernel, Transaction::Add(&missing))
    }

    pub(crate) fn uncover(
        &mut self,
        mirror: &Mirror,
        kernel: &mut Kernel,
    ) -> Result<(), CannotRefuse> {
        let surplus = self.refusals.surplus(mirror);
        if !self.is_open || surplus.is_empty() {
            return Ok(());
        }
        self.change(kernel, Transaction::Remove(&surplus))
    }

    /// The table was touched, or may have been.
    pub(crate) const fn doubt(&mut self) {
        self.in_place = false;
    }

    pub(crate) fn repair(&mut self, kernel: &mut Kernel) -> Result<(), CannotRefuse> {
        if self.is_open && !self.in_place {
            let all: Vec<Refusal> = self.refusals.refused().collect();
            self.in_place = kernel.transact(&Transaction::Replace(&all));
        }
        self.in_place.then_some(()).ok_or(CannotRefuse)
    }

    pub(crate) fn retire(&mut self, kernel: &mut Kernel) {
        if self.is_open && self.refusals.is_empty() {
            let _ = kernel.transact(&Transaction::Delete);
            (self.is_open, self.in_place) = (false, false);
        }
    }

    fn change(&mut self, kernel: &mut Kernel, change: Transaction<'_>) -> Result<(), CannotRefuse> {
        if self.in_place && kernel.transact(&change) {
            return Ok(());
        }
        self.in_place = false;
        self.repair(kernel)
    }
}
