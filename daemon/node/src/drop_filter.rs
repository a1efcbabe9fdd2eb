//! Drop filter: an nf_tables table of the daemon that drops packets to addresses that a master does not own
//! and may not accept packets to (Accept_Mode False, RFC 9568 sections 6.1 and 6.4.3).
//!
//! 1. A node without such routers opens nothing. The table is created when the configuration first needs
//!    it, so that a take-over sends one transaction with all the addresses of its turn.
//! 2. The drop rule of an address is installed before the address is added and removed after it is deleted.
//! 3. A change of the table by another program, such as `nft flush ruleset`, is undone: the table is
//!    recreated.
//! 4. A transaction that the kernel rejects changes nothing. Then the whole table is recreated, once. If
//!    the kernel rejects that too, the engine receives the error, and the routers with `acceptMode = false`
//!    are in the fault state until drop rules can be installed. An address with `acceptMode = false` is
//!    never present without its drop rule.
//! 5. The table is deleted when no address needs it.

use vrrp_proto::Desired;

use crate::drop_rules::{DropRule, DropRules};
use crate::host::{Kernel, Transaction};
use crate::mirror::Mirror;

/// Drop filter with the rules that its table should hold.
#[derive(Debug, Default)]
pub struct DropFilter {
    drop_rules: DropRules,
    is_open: bool,
    /// Whether the table exists and holds the right rules, as far as known.
    in_place: bool,
    /// Drop rules to add in this turn. Kept to reuse the allocation.
    missing: Vec<DropRule>,
}

impl DropFilter {
    /// Adopts drop rules for the addresses that an earlier daemon left, until these addresses are deleted.
    /// To be called at the start.
    pub fn adopt(&mut self, mirror: &Mirror) {
        self.drop_rules.adopt(mirror);
    }

    /// Installs the drop rules for `desired` addresses. To be called before the addresses are changed.
    ///
    /// # Errors
    ///
    /// When the kernel rejects the rules. Then no address with `acceptMode = false` may be added.
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

    /// Removes the drop rules of addresses that were deleted or may be accepted now. To be called after the
    /// addresses are changed.
    ///
    /// # Errors
    ///
    /// When the kernel rejects the change.
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

    /// Marks the table as possibly changed by another program.
    pub const fn doubt(&mut self) {
        self.in_place = false;
    }

    /// Recreates the table, unless it is known to be right.
    ///
    /// # Errors
    ///
    /// When the kernel has no nf_tables, or rejects the table.
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

    /// Deletes the table and ends the subscription, unless a drop rule is still needed.
    ///
    /// # Errors
    ///
    /// When the kernel rejects the deletion. Then the caller has to try again.
    pub fn retire<K: Kernel>(&mut self, kernel: &mut K) -> Result<(), K::DropFilterError> {
        if !self.is_open || !self.drop_rules.is_empty() {
            return Ok(());
        }
        self.in_place = false;
        kernel.delete_drop_rules()?;
        self.is_open = false;
        Ok(())
    }

    /// Applies a change. If the kernel rejects it, recreates the whole table: another program may have
    /// deleted it a moment before.
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
