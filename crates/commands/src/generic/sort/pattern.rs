//! Patterns that make the key of a value, and maybe a field in it, of an element: `weight_*`, `user:*->name`.

use crate::joint::Operands;
use darter_base::UnixMillis;
use darter_command_table::{Call, ShardView};
use darter_value::integer::IntegerText;
use darter_value::{Collection as _, Hash, ValueRef};

/// A pattern of BY or GET.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pattern<'a> {
    /// `#`: the element itself.
    Element,
    /// No place for an element: there is no such value.
    Nothing,
    /// A string.
    Key { before: &'a [u8], after: &'a [u8] },
    /// A field of a hash.
    Field { before: &'a [u8], after: &'a [u8], field: &'a [u8] },
}

impl<'a> Pattern<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        if text == b"#" {
            return Self::Element;
        }
        let Some(place) = text.iter().position(|byte| *byte == b'*') else { return Self::Nothing };
        let (before, after) = (&text[..place], &text[place + 1..]);
        match after.windows(2).position(|pair| pair == b"->") {
            Some(arrow) if arrow + 2 < after.len() => {
                Self::Field { before, after: &after[..arrow], field: &after[arrow + 2..] }
            }
            _ => Self::Key { before, after },
        }
    }

    /// Whether an element can be put into it.
    pub(super) const fn has_place(self) -> bool {
        matches!(self, Self::Key { .. } | Self::Field { .. })
    }

    /// Hands the value for `element` to `read`; `None` if there is none of the right type.
    pub(super) fn look_up<R>(
        self,
        call: &Call<'_>,
        view: &mut ShardView<'_>,
        element: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        let Some(key) = self.key_for(element) else {
            return matches!(self, Self::Element).then(|| read(element));
        };
        let key = call.key_of(&key);
        let mut keyspace = call.keyspace(view, &key);
        self.read_in(keyspace.read(&key)?, call.now, read)
    }

    /// As [`look_up`](Self::look_up), in a slice.
    pub(super) fn look_up_among<R>(
        self,
        operands: &Operands<'_>,
        element: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        let Some(key) = self.key_for(element) else {
            return matches!(self, Self::Element).then(|| read(element));
        };
        self.read_in(operands.look_up(&key)?, operands.since, read)
    }

    /// The key that is made of `element`, if one is.
    fn key_for(self, element: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Element | Self::Nothing => None,
            Self::Key { before, after } | Self::Field { before, after, .. } => {
                Some([before, element, after].concat())
            }
        }
    }

    /// Hands what is wanted of the value at such a key to `read`; `None` if there is no such thing.
    fn read_in<R>(
        self,
        value: ValueRef<'_>,
        now: UnixMillis,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        let mut text = IntegerText::new();
        match (self, value) {
            (Self::Field { field, .. }, ValueRef::Object(object)) => {
                let value = Hash::of(object)?.get(field, now.0)?;
                Some(read(value.value.bytes(&mut text)))
            }
            (Self::Field { .. }, _) => None,
            (_, value) => value.string_bytes(&mut text).map(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrow_behind_the_star_names_a_field() {
        assert!(matches!(Pattern::new(b"#"), Pattern::Element));
        assert!(matches!(Pattern::new(b"nosort"), Pattern::Nothing));
        assert!(matches!(Pattern::new(b"w_*_x"), Pattern::Key { before: b"w_", after: b"_x" }));
        assert!(matches!(
            Pattern::new(b"a->*b->f*->g"),
            Pattern::Field { before: b"a->", after: b"b", field: b"f*->g" }
        ));
        assert!(matches!(Pattern::new(b"*->"), Pattern::Key { before: b"", after: b"->" }));
    }
}
