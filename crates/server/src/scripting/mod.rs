//! Scripts: which there are, where they run, and what they may do.
//!
//! ```text
//! EVAL       the script's keys are placed like any command's; its shards are gathered
//! run        this worker's engine compiles the text, if it has not yet, and runs it; the commands
//!            it calls run over the shards that are held ([`crate::caller`])
//! restart    a script that needs shards it does not hold, and has changed nothing, gives back what
//!            it holds and begins again, holding all
//! ```
//!
//! What is known of a script is shared by all workers ([`store`]); what is compiled belongs to each of
//! them ([`engine`]). Which shards a script needs is learnt while it runs ([`reach`]). A script that
//! takes too long is busy: it can be stopped, and the commands that need its shards are told so
//! ([`busy`]).

mod ahead;
pub mod busy;
pub mod change;
pub mod engine;
pub mod flags;
pub mod host;
pub mod library;
pub mod reach;
pub mod run;
pub mod store;

pub use busy::Busy;
pub use engine::WorkerScripts;
pub use run::{Source, run};
pub use store::Scripts;
