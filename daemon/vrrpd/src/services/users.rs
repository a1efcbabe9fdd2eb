//! Users that run programs: their accounts, looked up once for each configuration. The user database, such
//! as a directory server, may not answer later.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::unistd::{User, getgrouplist};
use tokio::task::spawn_blocking;
use vrrp_linux::ids::Ids;

/// What a program needs to run as a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    /// The user, its group and its supplementary groups.
    pub(super) ids: Ids,
    /// Its home directory.
    pub(super) home: PathBuf,
}

/// Known users. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Users(Arc<Mutex<BTreeMap<String, Account>>>);

impl Users {
    /// Account of a user. Blocks while the user database does not answer, if the user is not known yet.
    ///
    /// # Errors
    /// If there is no such user, or the user database cannot be read.
    pub(super) fn account(&self, name: &str) -> io::Result<Account> {
        if let Some(account) = self.known().get(name) {
            return Ok(account.clone());
        }
        let found = find(name)?;
        self.learn(name, found).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("there is no user {name}"))
        })
    }

    /// Looks up users again, on another thread. A user without an answer of the user database stays
    /// as it is.
    pub(super) fn look_up(&self, names: BTreeSet<String>) {
        let users = self.clone();
        if !names.is_empty() {
            spawn_blocking(move || {
                for name in names {
                    if let Ok(found) = find(&name) {
                        users.learn(&name, found);
                    }
                }
            });
        }
    }

    pub(super) fn learn(&self, name: &str, account: Option<Account>) -> Option<Account> {
        match &account {
            Some(account) => self.known().insert(name.to_owned(), account.clone()),
            None => self.known().remove(name),
        };
        account
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Account>> {
        // The map is consistent whenever the lock is released.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the user database. Blocks while that does not answer.
fn find(name: &str) -> io::Result<Option<Account>> {
    let Some(user) = User::from_name(name)? else {
        return Ok(None);
    };
    let groups = getgrouplist(&CString::new(name)?, user.gid)?;
    let ids = Ids {
        user: user.uid,
        group: user.gid,
        groups,
    };
    let home = user.dir;
    Ok(Some(Account { ids, home }))
}

#[cfg(test)]
mod tests {
    use nix::unistd::{Gid, Uid};

    use super::*;
    use crate::testing::block_on;

    #[test]
    fn user_is_looked_up_once_for_each_configuration() {
        let users = Users::default();
        let stale = Account {
            ids: Ids {
                user: Uid::from_raw(12_345),
                group: Gid::from_raw(12_345),
                groups: vec![],
            },
            home: "/former".into(),
        };
        for name in ["root", "no-such-user"] {
            users.known().insert(name.to_owned(), stale.clone());
        }
        assert_eq!(users.account("root").unwrap(), stale);
        let names = ["root", "no-such-user"].map(str::to_owned);
        block_on(async {
            users.look_up(names.into());
            while users.account("no-such-user").is_ok() {
                tokio::task::yield_now().await;
            }
            // In any order.
            while users.account("root").unwrap() == stale {
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(users.account("root").unwrap().ids.user, Uid::from_raw(0));
        let error = users.account("no-such-user").unwrap_err();
        assert_eq!(error.to_string(), "there is no user no-such-user");
    }
}
