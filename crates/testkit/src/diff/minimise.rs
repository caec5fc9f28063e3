//! Makes a stream that shows a difference as short as it gets in reasonable time.

use super::grammar::Batch;
use super::run::{Difference, Pair, replay};

/// Most replays spent.
const REPLAYS_MAX: usize = 600;

/// A shorter stream that still shows a difference, perhaps another one; and that difference.
pub(super) fn minimise(
    pair: Pair,
    stream: Vec<Batch>,
    difference: Difference,
) -> (Vec<Batch>, Difference) {
    let mut search = Search { pair, difference, replays: 0 };
    let stream = search.shrink(stream, &|batches| batches.to_vec());
    // Each command alone, if the difference does not need pipelines.
    let alone: Vec<Batch> = stream.iter().flatten().map(|command| vec![command.clone()]).collect();
    let stream = if search.differs(&alone) {
        search.shrink(alone, &|batches| batches.to_vec())
    } else {
        shrink_batches(&mut search, stream)
    };
    (stream, search.difference)
}

/// Takes commands out of the batches, one batch after the other.
fn shrink_batches(search: &mut Search, mut stream: Vec<Batch>) -> Vec<Batch> {
    for index in 0..stream.len() {
        let around = stream.clone();
        let batch = std::mem::take(&mut stream[index]);
        stream[index] = search.shrink(batch, &|commands| {
            let mut stream = around.clone();
            stream[index] = commands.to_vec();
            stream
        });
    }
    stream.retain(|batch| !batch.is_empty());
    stream
}

struct Search {
    pair: Pair,
    /// The one seen last.
    difference: Difference,
    replays: usize,
}

impl Search {
    fn differs(&mut self, stream: &[Batch]) -> bool {
        self.replays += 1;
        match replay(self.pair, stream) {
            Ok(()) => false,
            Err(found) => {
                self.difference = found.difference;
                true
            }
        }
    }

    /// Leaves out ever smaller pieces of `items` as long as the stream made of them differs.
    fn shrink<T: Clone>(
        &mut self,
        mut items: Vec<T>,
        stream_of: &dyn Fn(&[T]) -> Vec<Batch>,
    ) -> Vec<T> {
        let mut piece = items.len().div_ceil(2);
        while piece > 0 {
            let mut at = 0;
            while at < items.len() && self.replays < REPLAYS_MAX {
                let mut fewer = items.clone();
                fewer.drain(at..(at + piece).min(items.len()));
                if self.differs(&stream_of(&fewer)) {
                    items = fewer;
                } else {
                    at += piece;
                }
            }
            piece = if piece == 1 { 0 } else { piece.div_ceil(2) };
        }
        items
    }
}
