//! Serde access to elements, entries and variants for the derived code of the model.

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeSeed, EnumAccess, Error, MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};

use super::{ParseError, Position, expected};
use crate::tree::Node;

/// A value as a sequence of one element, so that the visitor of a `Field` can handle its error and
/// continue.
pub(super) struct Attempt<'p, 'a, 'de>(pub(super) Option<&'p Position<'a, 'de>>);

impl<'de> SeqAccess<'de> for Attempt<'_, '_, 'de> {
    type Error = ParseError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ParseError> {
        self.0.take().map(|place| place.offer(seed)).transpose()
    }
}

/// Elements of a list.
pub(super) struct Elements<'p, 'a, 'de> {
    pub(super) place: &'p Position<'a, 'de>,
    pub(super) elements: &'de [Node],
    pub(super) next: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_, '_, 'de> {
    type Error = ParseError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ParseError> {
        let Some(element) = self.elements.get(self.next) else {
            return Ok(None);
        };
        let place = self.place.inside(element, self.place.path.index(self.next));
        self.next += 1;
        place.offer(seed).map(Some)
    }
}

/// Entries of an object.
pub(super) struct Entries<'a, 'de> {
    pub(super) rest: std::vec::IntoIter<(&'de str, Position<'a, 'de>)>,
    pub(super) value: Option<Position<'a, 'de>>,
}

impl<'de> MapAccess<'de> for Entries<'_, 'de> {
    type Error = ParseError;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ParseError> {
        let Some((key, place)) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some(place);
        seed.deserialize(BorrowedStrDeserializer::new(key))
            .map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, ParseError> {
        match self.value.take() {
            Some(place) => place.offer(seed),
            None => Err(Error::custom("a value was requested before its key")),
        }
    }
}

/// A variant of an enum: a string, or `{ "variant": content }`.
pub(super) struct Variant<'a, 'de> {
    pub(super) name: &'de str,
    pub(super) content: Option<Position<'a, 'de>>,
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = ParseError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self), ParseError> {
        let variant = seed.deserialize(BorrowedStrDeserializer::<ParseError>::new(self.name))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = ParseError;

    fn unit_variant(self) -> Result<(), ParseError> {
        match self.content {
            None => Ok(()),
            Some(_) => expected(format!("\"{}\"", self.name)),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<S::Value, ParseError> {
        match self.content {
            Some(content) => content.offer(seed),
            None => expected(format!("an object {{ \"{}\": ... }}", self.name)),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ParseError> {
        Err(Error::invalid_type(Unexpected::TupleVariant, &visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ParseError> {
        Err(Error::invalid_type(Unexpected::StructVariant, &visitor))
    }
}
