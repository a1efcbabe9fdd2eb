//! Users that run programs: their IDs, looked up once for each configuration. The user database, such
//! as a directory server, may not answer later.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::unistd::{Gid, Uid, User};
use tokio::task::spawn_blocking;

/// IDs of a user: its own, and that of its group.
type Ids = (Uid, Gid);

/// Known users. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Users(Arc<Mutex<BTreeMap<String, Ids>>>);

impl Users {
    /// IDs of a user. Blocks while the user database does not answer, if the user is not known yet.
    ///
    /// # Errors
    /// If there is no such user, or the user database cannot be read.
    pub(super) fn ids(&self, name: &str) -> io::Result<Ids> {
        if let Some(ids) = self.known().get(name) {
            return Ok(*ids);
        }
        let found = User::from_name(name)?;
        self.learn(name, found.as_ref()).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("there is no user {name}"))
        })
    }

    /// Looks up users again, on another thread. Those of whom the user database says nothing stay as
    /// they are.
    pub(super) fn look_up(&self, names: BTreeSet<String>) {
        let users = self.clone();
        if !names.is_empty() {
            spawn_blocking(move || {
                for name in names {
                    if let Ok(found) = User::from_name(&name) {
                        users.learn(&name, found.as_ref());
                    }
                }
            });
        }
    }

    fn learn(&self, name: &str, found: Option<&User>) -> Option<Ids> {
        let ids = found.map(|user| (user.uid, user.gid));
        match ids {
            Some(ids) => self.known().insert(name.to_owned(), ids),
            None => self.known().remove(name),
        };
        ids
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Ids>> {
        // The map is consistent whenever the lock is released.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::block_on;

    #[test]
    fn user_is_looked_up_once_for_each_configuration() {
        let users = Users::default();
        let stale = (Uid::from_raw(12_345), Gid::from_raw(12_345));
        users.known().insert("root".to_owned(), stale);
        users.known().insert("no-such-user".to_owned(), stale);
        assert_eq!(users.ids("root").unwrap(), stale);
        let names = ["root", "no-such-user"].map(str::to_owned);
        block_on(async {
            users.look_up(names.into());
            while users.ids("no-such-user").is_ok() {
                tokio::task::yield_now().await;
            }
            // In any order.
            while users.ids("root").unwrap() == stale {
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(
            users.ids("root").unwrap(),
            (Uid::from_raw(0), Gid::from_raw(0))
        );
        let error = users.ids("no-such-user").unwrap_err();
        assert_eq!(error.to_string(), "there is no user no-such-user");
    }
}
