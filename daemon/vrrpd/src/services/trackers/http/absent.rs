//! Trackers of kind `http` in a program without HTTP (feature `http`): there are none, because the checks of
//! the configuration refuse them (`check/parts.rs` of `vrrp-config`).

use std::sync::Arc;

use vrrp_config::Http;

use super::Reporter;

/// State that all trackers of the kind share: none.
#[derive(Debug, Default)]
pub(super) struct Tls;

#[expect(clippy::unused_async, reason = "with HTTP it waits")]
pub(super) async fn follow(_: Http, _: Arc<Tls>, _: Reporter) {}
