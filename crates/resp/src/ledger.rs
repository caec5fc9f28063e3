//! A check that replies hold as many values as they declare, in builds with debug assertions.
//!
//! A reply whose declared length is wrong shifts every later reply of its connection, which shows far
//! from its cause. So the writer tells the ledger of every value it begins, and the ledger complains
//! where the count goes wrong. In release builds it is empty and its methods do nothing.

/// The arrays, maps and so on being written, the innermost last.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    #[cfg(debug_assertions)]
    open: Vec<Open>,
    #[cfg(debug_assertions)]
    values: u64,
}

#[cfg(debug_assertions)]
#[derive(Debug)]
enum Open {
    /// Declared, and so many values are missing.
    Missing(u64),
    /// To be declared, and so many values are there.
    Written(u64),
}

#[cfg(debug_assertions)]
impl Ledger {
    /// A value that holds no others was written.
    pub(crate) fn scalar(&mut self) {
        self.begin_value();
        self.settle();
    }

    /// A value was begun that will hold `len` others.
    pub(crate) fn aggregate(&mut self, len: u64) {
        self.begin_value();
        self.open.push(Open::Missing(len));
        self.settle();
    }

    /// A value was begun that will hold `len` others, and that nobody has to have announced.
    pub(crate) fn further_aggregate(&mut self, len: u64) {
        if self.open.is_empty() {
            self.values += 1;
        }
        self.open.push(Open::Missing(len));
        self.settle();
    }

    /// `len` values about the value after them were announced.
    pub(crate) fn attribute(&mut self, len: u64) {
        self.open.push(Open::Missing(len));
        self.settle();
    }

    /// A value was begun whose length will be known at its end.
    pub(crate) fn deferred(&mut self) {
        self.begin_value();
        self.open.push(Open::Written(0));
    }

    /// The innermost value of deferred length ended, with `len` values declared.
    pub(crate) fn end_deferred(&mut self, len: u64) {
        match self.open.pop() {
            Some(Open::Written(written)) => {
                assert_eq!(written, len, "values written and declared in a deferred reply");
            }
            other => panic!("a deferred reply ends inside of {other:?}"),
        }
        self.settle();
    }

    /// Panics unless every value begun is complete.
    pub(crate) fn assert_complete(&self) {
        assert!(self.open.is_empty(), "a reply is incomplete: {:?}", self.open);
    }

    /// Adds the values of `other`, which is complete, perhaps to an array begun here.
    pub(crate) fn append(&mut self, other: &Self) {
        other.assert_complete();
        for _ in 0..other.values {
            self.scalar();
        }
    }

    /// Values written outside of any other.
    #[expect(clippy::unnecessary_wraps, reason = "nothing counts them in release builds")]
    pub(crate) fn values(&self) -> Option<u64> {
        Some(self.values)
    }

    fn begin_value(&mut self) {
        match self.open.last_mut() {
            None => self.values += 1,
            Some(Open::Written(written)) => *written += 1,
            Some(Open::Missing(missing)) => *missing -= 1,
        }
    }

    /// Closes the values that are complete now. None of them was complete before.
    fn settle(&mut self) {
        while let Some(Open::Missing(0)) = self.open.last() {
            self.open.pop();
        }
    }
}

#[cfg(not(debug_assertions))]
#[expect(clippy::unused_self, reason = "the methods do something in debug builds")]
impl Ledger {
    pub(crate) const fn scalar(&mut self) {}
    pub(crate) const fn aggregate(&mut self, _len: u64) {}
    pub(crate) const fn further_aggregate(&mut self, _len: u64) {}
    pub(crate) const fn attribute(&mut self, _len: u64) {}
    pub(crate) const fn deferred(&mut self) {}
    pub(crate) const fn end_deferred(&mut self, _len: u64) {}
    pub(crate) const fn assert_complete(&self) {}
    pub(crate) const fn append(&mut self, _other: &Self) {}
    pub(crate) const fn values(&self) -> Option<u64> {
        None
    }
}
