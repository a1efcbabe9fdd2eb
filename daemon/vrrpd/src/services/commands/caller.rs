//! Client of the command socket: whether it may give commands, and its name.

use std::ffi::CString;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{Gid, Uid, User, getegid, geteuid, getgrouplist};
use tokio::net::unix::UCred;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Time limit for the user database.
const PATIENCE: Duration = Duration::from_secs(1);

/// User that may not give commands.
#[derive(Debug)]
pub(super) struct Stranger(Arc<str>);

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, group) = (geteuid(), getegid());
        write!(
            f,
            "{} may not give commands: only root, the daemon's user (uid {user}) and its group (gid {group})",
            self.0
        )
    }
}

/// Identifies a client by its credentials at the time of its connection (SO_PEERCRED of unix(7)). Returns
/// its name for log and status: `alice (uid 1000)`.
pub(super) async fn identify(credentials: &UCred) -> Result<Arc<str>, Stranger> {
    let (user, group) = (credentials.uid(), credentials.gid());
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    // The user database may not answer: commands are needed most when something is wrong.
    let found = timeout(PATIENCE, spawn_blocking(move || find(user))).await;
    let (name, groups) = found.ok().and_then(Result::ok).flatten().unzip();
    let who = name.map_or_else(
        || format!("uid {user}"),
        |name: String| format!("{name} (uid {user})"),
    );
    let is_member =
        group == getegid() || groups.is_some_and(|all: Vec<_>| all.contains(&getegid()));
    match user.is_root() || user == geteuid() || is_member {
        true => Ok(who.into()),
        false => Err(Stranger(who.into())),
    }
}

/// Name and groups of a user. Blocks while the user database does not answer.
fn find(user: Uid) -> Option<(String, Vec<Gid>)> {
    let found = User::from_uid(user).ok()??;
    let name = CString::new(found.name.as_bytes()).ok()?;
    let groups = getgrouplist(&name, found.gid).unwrap_or_default();
    let name = found.name.chars().filter(|c| !c.is_control()).collect();
    Some((name, groups))
}
