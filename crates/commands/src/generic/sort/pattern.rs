//! Patterns that make the key of a value, and maybe a field in it, of an element: `weight_*`, `user:*->name`.

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
        let (before, after, field) = match self {
            Self::Element => return Some(read(element)),
            Self::Nothing => return None,
            Self::Key { before, after } => (before, after, None),
            Self::Field { before, after, field } => (before, after, Some(field)),
        };
        let key = [before, element, after].concat();
        let key = call.key_of(&key);
        let mut keyspace = call.keyspace(view, &key);
        let value = keyspace.read(&key)?;
        let mut text = IntegerText::new();
        match (field, value) {
            (None, value) => value.string_bytes(&mut text).map(read),
            (Some(field), ValueRef::Object(object)) => {
                let value = Hash::of(object)?.get(field, call.now.0)?;
                Some(read(value.value.bytes(&mut text)))
            }
            (Some(_), _) => None,
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
