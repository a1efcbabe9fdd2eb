//! Refusing packets to addresses that a master does not own and may not accept packets to
//! (Accept_Mode False, RFC 9568 sections 6.1 and 6.4.3), by a table of nf_tables that is ours alone.
//!
//! 1. A node without such routers opens nothing. The table is made when the configuration first asks for
//!    it, so that a take-over sends one batch with all the addresses of its turn.
//! 2. An address is refused before it is there and until it is gone.
//! 3. A change of the table by another program, such as `nft flush ruleset`, is undone by making it anew.
//! 4. A batch that the kernel refuses changes nothing. Then the table is made anew in full, once. If that
//!    is refused too, packets cannot be refused: the engine hears of it, and routers that must not accept
//!    are in fault until it works. An address that must not be accepted is never there in silence.
//! 5. The table is deleted when nothing needs it.

use vrrp_proto::Desired;

use crate::drop_rules::{DropRule, DropRules};
use crate::host::{Kernel, Transaction};
use crate::mirror::Mirror;

/// Refuses packets to addresses.
#[derive(Debug, Default)]
pub struct DropFilter {
    drop_rules: DropRules,
    is_open: bool,
    /// Whether the table is there and has what it should, as far as known.
    in_place: bool,
    /// The refusals to add in this turn. Reconciled for its room.
    missing: Vec<DropRule>,
}

impl DropFilter {
    /// Refuses what an earlier daemon left, as its table did, until that is gone. To be called at the
    /// start.
    pub fn adopt(&mut self, mirror: &Mirror) {
        self.drop_rules.adopt(mirror);
    }

    /// Takes in what is wanted before the addresses are changed: what is to be refused is from now on.
    ///
    /// # Errors
    ///
    /// When the kernel refuses. Then none of the addresses that are not to be accepted may be added.
    pub fn install<K: Kernel>(
        &mut self,
        desired: &[Desired],
        kernel: &mut K,
    ) -> Result<(), K::DropFilterError> {
        for desired in desired {
            self.drop_rules.want(desired, &mut self.missing);
        }
        if self.missing.is_empty() {
            return Ok(());
        }
        let missing = std::mem::take(&mut self.missing);
        let outcome = self.change(kernel, &Transaction::Add(&missing));
        self.missing = missing;
        self.missing.clear();
        outcome
    }

    /// Takes in what the addresses are after they were changed: what is gone, and what may be accepted,
    /// is refused no longer.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn prune<K: Kernel>(
        &mut self,
        mirror: &Mirror,
        kernel: &mut K,
    ) -> Result<(), K::DropFilterError> {
        if self.drop_rules.is_empty() {
            return Ok(());
        }
        let surplus = self.drop_rules.surplus(mirror);
        if !self.is_open || surplus.is_empty() {
            return Ok(());
        }
        self.change(kernel, &Transaction::Remove(&surplus))
    }

    /// The table was touched, or may have been.
    pub const fn doubt(&mut self) {
        self.in_place = false;
    }

    /// Makes the table if it is not there, or not as it should be.
    ///
    /// # Errors
    ///
    /// When the kernel has no nf_tables, or refuses.
    pub fn repair<K: Kernel>(&mut self, kernel: &mut K) -> Result<(), K::DropFilterError> {
        if !self.in_place {
            if !self.is_open {
                kernel.open_drop_rules()?;
                self.is_open = true;
            }
            let all: Vec<DropRule> = self.drop_rules.refused().collect();
            kernel.change_drop_rules(&Transaction::Replace(&all))?;
            self.in_place = true;
        }
        Ok(())
    }

    /// Deletes the table and closes everything, unless something is refused still.
    ///
    /// # Errors
    ///
    /// When the kernel refuses. Then it is to be tried again.
    pub fn retire<K: Kernel>(&mut self, kernel: &mut K) -> Result<(), K::DropFilterError> {
        if !self.is_open || !self.drop_rules.is_empty() {
            return Ok(());
        }
        self.in_place = false;
        kernel.delete_drop_rules()?;
        self.is_open = false;
        Ok(())
    }

    /// Carries out a change, or makes everything anew where that is not possible: another program may have
    /// deleted the table a moment ago.
    fn change<K: Kernel>(
        &mut self,
        kernel: &mut K,
        change: &Transaction<'_>,
    ) -> Result<(), K::DropFilterError> {
        if self.in_place && kernel.change_drop_rules(change).is_ok() {
            return Ok(());
        }
        self.in_place = false;
        self.repair(kernel)
    }
}
