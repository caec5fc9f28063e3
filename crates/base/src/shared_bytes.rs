//! Bytes that several hold.
//!
//! A long string is not copied on its way: a reply is sent from the value itself, and a value is the argument as it was read,
//! in the buffer that the whole request came in. What the request has besides stays allocated with it, so a part is
//! only taken that is nearly all of its buffer.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// What a part may leave unused of its buffer: one in so many bytes.
const UNUSED_SHARE: usize = 16;

/// Bytes that nobody changes while several hold them. One word; a clone holds the same ones.
#[derive(Clone)]
pub struct SharedBytes(Arc<Content>);

/// Where they are.
enum Content {
    Whole(Vec<u8>),
    /// Without so many bytes at the beginning and at the end.
    Part {
        of: Arc<Vec<u8>>,
        before: u32,
        behind: u32,
    },
}

// As much as a vector that is shared takes anyway.
const _: () = assert!(size_of::<Content>() == size_of::<Vec<u8>>());

/// Whether so many bytes of `buffer` are nearly all that it takes.
pub fn is_nearly_all(bytes: usize, buffer: &Vec<u8>) -> bool {
    buffer.capacity() - bytes <= buffer.capacity() / UNUSED_SHARE
}

impl SharedBytes {
    /// A part of `buffer` that is [nearly all](is_nearly_all) of it, without a copy.
    ///
    /// # Panics
    /// If the range is not inside of the buffer.
    pub fn part(buffer: &Arc<Vec<u8>>, range: Range<usize>) -> Option<Self> {
        assert!(range.start <= range.end && range.end <= buffer.len(), "a part is inside");
        if !is_nearly_all(range.len(), buffer) {
            return None;
        }
        let before = u32::try_from(range.start).ok()?;
        let behind = u32::try_from(buffer.len() - range.end).ok()?;
        Some(Self(Arc::new(Content::Part { of: Arc::clone(buffer), before, behind })))
    }

    /// Bytes that the buffer takes.
    pub fn capacity(&self) -> usize {
        match &*self.0 {
            Content::Whole(bytes) => bytes.capacity(),
            Content::Part { of, .. } => of.capacity(),
        }
    }

    /// Allocations besides the buffer, each of two counters and a vector's three words.
    pub fn headers(&self) -> usize {
        match &*self.0 {
            Content::Whole(_) => 1,
            Content::Part { .. } => 2,
        }
    }

    /// The vector, if nobody else holds it. A part is moved to the beginning of its buffer first: O(n), once.
    pub fn get_mut(&mut self) -> Option<&mut Vec<u8>> {
        let content = Arc::get_mut(&mut self.0)?;
        if let Content::Part { of, before, behind } = content {
            let mut bytes = std::mem::take(Arc::get_mut(of)?);
            bytes.truncate(bytes.len() - *behind as usize);
            bytes.drain(..*before as usize);
            *content = Content::Whole(bytes);
        }
        match content {
            Content::Whole(bytes) => Some(bytes),
            Content::Part { .. } => None,
        }
    }

    /// The vector if it is no part and nobody else holds it, and where its header is.
    pub fn whole_mut(&mut self) -> Option<(&mut Vec<u8>, *const ())> {
        let place = Arc::as_ptr(&self.0).cast();
        match Arc::get_mut(&mut self.0)? {
            Content::Whole(bytes) => Some((bytes, place)),
            Content::Part { .. } => None,
        }
    }

    /// How many hold them.
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

impl From<Vec<u8>> for SharedBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Content::Whole(bytes)))
    }
}

impl Deref for SharedBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &*self.0 {
            Content::Whole(bytes) => bytes,
            Content::Part { of, before, behind } => {
                &of[*before as usize..of.len() - *behind as usize]
            }
        }
    }
}

impl fmt::Debug for SharedBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} shared bytes", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_taken_that_is_nearly_all_of_its_buffer() {
        let buffer = Arc::new((0..100).collect::<Vec<u8>>());
        assert!(SharedBytes::part(&buffer, 7..100).is_none());
        let part = SharedBytes::part(&buffer, 4..98).expect("it leaves six bytes");
        assert_eq!(&part[..], &buffer[4..98]);
        assert!(std::ptr::eq(&raw const part[0], &raw const buffer[4]));
        assert!(part.capacity() >= 100);
        let spare = Arc::new(Vec::with_capacity(1000));
        assert!(SharedBytes::part(&spare, 0..0).is_none());
    }

    #[test]
    fn it_is_changed_by_who_holds_it_alone() {
        let buffer = Arc::new((0..100).collect::<Vec<u8>>());
        let mut part = SharedBytes::part(&buffer, 4..98).expect("it leaves six bytes");
        assert!(part.get_mut().is_none(), "the buffer is held");
        drop(buffer);
        assert!(part.whole_mut().is_none());
        let other = part.clone();
        assert!(part.get_mut().is_none(), "the part is held");
        drop(other);
        assert_eq!(part.headers(), 2);
        part.get_mut().expect("nobody else holds it").push(7);
        assert_eq!(part.headers(), 1);
        assert_eq!(part[..], (4..98).chain([7]).collect::<Vec<u8>>());
        assert!(part.whole_mut().is_some());
    }
}
