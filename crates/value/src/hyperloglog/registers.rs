//! All registers at once, a byte each: the union of several.

use super::{Corrupt, Form, HEADER_BYTES, REGISTERS, dense, estimate, form_of, hash, sparse};

/// The union of HyperLogLogs.
#[derive(Clone, Debug)]
pub struct Registers {
    /// 0 to 63 each.
    values: Box<[u8; REGISTERS]>,
}

impl Registers {
    /// Of nothing.
    pub fn new() -> Self {
        Self { values: Box::new([0; REGISTERS]) }
    }

    /// Shows `element` to it.
    pub fn add(&mut self, element: &[u8]) {
        let (index, value) = hash::register_of(element);
        let register = &mut self.values[index];
        *register = value.max(*register);
    }

    /// Adds what a HyperLogLog has seen. On an error this is no union of anything.
    pub fn merge(&mut self, bytes: &[u8]) -> Result<(), Corrupt> {
        match form_of(bytes) {
            None => Err(Corrupt),
            Some(Form::Dense) => {
                dense::merge_into(&mut self.values, &bytes[HEADER_BYTES..]);
                Ok(())
            }
            Some(Form::Sparse) => sparse::each_value(&bytes[HEADER_BYTES..], |index, value| {
                let register = &mut self.values[index];
                *register = value.max(*register);
            }),
        }
    }

    /// How many different elements all have seen together, about.
    pub fn count(&self) -> u64 {
        let mut histogram = [0; estimate::VALUES];
        for value in self.values.iter() {
            histogram[usize::from(*value)] += 1;
        }
        estimate::cardinality(&histogram)
    }

    /// The registers in order.
    pub fn values(&self) -> &[u8; REGISTERS] {
        &self.values
    }
}

impl Default for Registers {
    fn default() -> Self {
        Self::new()
    }
}
