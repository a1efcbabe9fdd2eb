//! Offsets of the fields of an advertisement.

use core::ops::Range;

pub(super) const VERSION_TYPE: usize = 0;
pub(super) const VRID: usize = 1;
pub(super) const PRIORITY: usize = 2;
pub(super) const COUNT: usize = 3;
pub(super) const AUTH_TYPE: usize = 4;
pub(super) const INTERVAL_SECONDS: usize = 5;
pub(super) const INTERVAL_CENTISECONDS: Range<usize> = 4..6;
pub(super) const CHECKSUM: Range<usize> = 6..8;
pub(super) const HEADER_LEN: usize = 8;
pub(super) const AUTH_DATA_LEN: usize = 8;
