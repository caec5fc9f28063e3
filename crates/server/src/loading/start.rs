//! Loading what there was when the server ended the last time.

use super::snapshot::{self, StreamPlace};
use crate::following::Following;
use crate::journal;
use crate::mail::ByMail;
use crate::saving::leftovers;
use crate::shared::Shared;
use darter_command_table::ShardView;
use darter_shard::Shard;
use darter_txn::{Held, View};
use std::error::Error;
use std::io;
use std::time::Duration;

/// All shards, from before any worker runs until they are filled.
#[derive(Debug)]
pub struct AtStart {
    shared: &'static Shared,
    held: Vec<Held<Shard>>,
}

impl AtStart {
    /// Takes all shards, so that nobody is served who needs one. To be called before any worker runs.
    ///
    /// # Errors
    /// When a shard is in use.
    pub fn begin(shared: &'static Shared) -> io::Result<Self> {
        let cells = &shared.cells;
        let held: Option<Vec<_>> =
            shared.router().shards().map(|id| cells.cell(id).try_take()).collect();
        shared.loading.begin();
        let held = held.ok_or_else(|| io::Error::other("a shard is still in use"))?;
        Ok(Self { shared, held })
    }

    /// Loads the log if there is to be one, else the file; then everybody is served.
    ///
    /// # Errors
    /// When they cannot be loaded. Nobody is served then.
    pub fn run(self) -> Result<(), Box<dyn Error + Send + Sync>> {
        let Self { shared, mut held } = self;
        let mut view = View::several(&mut held, shared.router());
        let result = load(shared, &mut view);
        // What was set meanwhile reached no shard.
        shared.follow_memory_settings(&shared.call_limits(), &mut view);
        let primary = shared.config.current().following.primary.clone();
        if let (Ok(place), Some(primary)) = (&result, primary) {
            if let Some((id, at)) = place.history {
                shared.replication.adopt(shared, id, at, place.db);
            }
            Following::follow(shared, primary);
        }
        for held in held {
            shared.cells.put_back(held, &ByMail(shared));
        }
        result?;
        shared.loading.end();
        Ok(())
    }
}

fn load(
    shared: &'static Shared,
    view: &mut ShardView<'_>,
) -> Result<StreamPlace, Box<dyn Error + Send + Sync>> {
    leftovers::delete(&shared.config.current());
    let begun = shared.stopwatch.now();
    let (from, place) = if shared.config.current().journal.is_on {
        journal::recover(shared, view)?;
        ("append only file", StreamPlace::default())
    } else if shared.config.current().data_file().try_exists()? {
        let (_, place) = snapshot::load_at_start(shared, view)?;
        ("disk", place)
    } else {
        return Ok(StreamPlace::default());
    };
    let nanos = shared.stopwatch.nanos_between(begun, shared.stopwatch.now());
    let seconds = Duration::from_nanos(nanos).as_secs_f64();
    tracing::info!("DB loaded from {from}: {seconds:.3} seconds");
    Ok(place)
}
