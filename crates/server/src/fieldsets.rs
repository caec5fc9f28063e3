//! What clients have said once about hashes of the same shape (HIMPORT).

use hashbrown::HashMap;

/// Names of fields.
pub type Fields = Box<[Box<[u8]>]>;

/// The fieldsets of a client, or of one run of a script: names of fields in the order in which their values will
/// come. No memory while there are none.
#[derive(Debug, Default)]
pub struct Fieldsets {
    sets: HashMap<Box<[u8]>, Fields>,
    /// Of names and fields.
    text_bytes: usize,
}

impl Fieldsets {
    /// Adds one, in the place of one of the same name.
    pub fn add(&mut self, name: &[u8], fields: Fields) {
        self.remove(name);
        self.text_bytes += text_bytes(name, &fields);
        self.sets.insert(name.into(), fields);
    }

    /// Removes one; whether it was there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let Some(fields) = self.sets.remove(name) else { return false };
        self.text_bytes -= text_bytes(name, &fields);
        if self.sets.is_empty() {
            *self = Self::default();
        }
        true
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.sets.len()
    }

    /// The fields of one.
    pub fn fields(&self, name: &[u8]) -> Option<&[Box<[u8]>]> {
        self.sets.get(name).map(|fields| &**fields)
    }

    /// Memory that they take.
    pub fn memory_bytes(&self) -> usize {
        self.sets.allocation_size() + self.text_bytes
    }
}

fn text_bytes(name: &[u8], fields: &[Box<[u8]>]) -> usize {
    let fields_bytes: usize = fields.iter().map(|field| field.len()).sum();
    name.len() + size_of_val(fields) + fields_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_that_of_what_is_there() {
        let fields = |count: u8| (0..count).map(|field| Box::from([field; 100])).collect();
        let mut fieldsets = Fieldsets::default();
        assert_eq!((fieldsets.count(), fieldsets.memory_bytes()), (0, 0));
        fieldsets.add(b"a", fields(3));
        let small = fieldsets.memory_bytes();
        assert!(small > 300);
        fieldsets.add(b"a", fields(30));
        assert!(fieldsets.memory_bytes() > small + 2_700);
        fieldsets.add(b"a", fields(3));
        assert_eq!((fieldsets.count(), fieldsets.memory_bytes()), (1, small));
        assert_eq!(fieldsets.fields(b"a").map(<[_]>::len), Some(3));
        assert!(fieldsets.remove(b"a") && !fieldsets.remove(b"a"));
        assert_eq!((fieldsets.count(), fieldsets.memory_bytes()), (0, 0));
        assert_eq!(fieldsets.fields(b"a"), None);
    }
}
