//! Choices that are made by the bytes of an input.

use arbitrary::Unstructured;
use arbitrary::unstructured::Int;

/// Source of choices. When the bytes are used up, the first alternative is chosen.
pub(crate) struct Choices<'a>(Unstructured<'a>);

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(Unstructured::new(bytes))
    }

    pub(crate) fn is_used_up(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn number<T: Int>(&mut self, range: core::ops::RangeInclusive<T>) -> T {
        let first = *range.start();
        self.0.int_in_range(range).unwrap_or(first)
    }

    pub(crate) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        let index = self.number(0..=from.len() - 1);
        from[index].clone()
    }

    pub(crate) fn coin(&mut self) -> bool {
        self.number(0..=1_u8) == 1
    }

    /// Returns true in seven of eight cases.
    pub(crate) fn mostly(&mut self) -> bool {
        self.number(0..=7_u8) != 7
    }

    pub(crate) fn bytes(&mut self, most: usize) -> &'a [u8] {
        let length = self.number(0..=most).min(self.0.len());
        self.0.bytes(length).unwrap_or_default()
    }
}
