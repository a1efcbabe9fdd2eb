//! Commands of the operator as text, without I/O: a [`Request`] and its [`Answer`] on the command
//! socket, one line of JSON each, and the [file](Saved) of the standing commands.
//!
//! ```text
//! {"stepDown":{"instance":"VI_1","lasts":{"seconds":600},"lastResort":true,"reason":"kernel update"}}
//! {"done":true,"lines":["VI_1: master -> backup"],"problems":[]}
//! ```
//!
//! A request comes from a local user. Its length is limited before it is parsed, and its texts
//! have no control characters, because they reach the log.

mod answer;
mod request;
mod saved;

pub use answer::Answer;
pub use request::{LONGEST_REQUEST, Lasting, Request, RequestError, Scope};
pub use saved::{Saved, SavedError};
