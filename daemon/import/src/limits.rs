//! Limits of the input, so that no file makes the conversion hang or take all memory. The largest
//! configurations in use are far below them.

/// Bytes of all files together.
pub(crate) const BYTES: usize = 16 << 20;
/// Files, the first one included.
pub(crate) const FILES: usize = 1000;
/// Files that include each other.
pub(crate) const INCLUDE_DEPTH: usize = 16;
/// Paths that a pattern of `include` may stand for.
pub(crate) const PATTERNS: usize = 1000;
/// Bytes of a line, and its characters after the definitions are replaced. keepalived has a limit of 1023.
pub(crate) const LINE: usize = 16 << 10;
/// Lines after the expansion.
pub(crate) const LINES: usize = 200_000;
/// Characters of all lines after the expansion.
pub(crate) const CHARACTERS: usize = 8 << 20;
/// Replacements of definitions in one line.
pub(crate) const REPLACEMENTS: usize = 1000;
/// Definitions that are used inside of each other, over several lines.
pub(crate) const NESTING: usize = 64;
/// Blocks inside of each other.
pub(crate) const BLOCK_DEPTH: usize = 16;
/// Entries of the report; further ones are counted.
pub(crate) const ENTRIES: usize = 1000;
