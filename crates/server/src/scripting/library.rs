//! Libraries of functions as text: compiling one, and adding it to others.

use super::WorkerScripts;
use super::engine::{Loading, reply_error};
use super::reach::Learnt;
use super::store::{Function, Libraries, Library};
use crate::commands::error::ServerError;
use darter_base::WorkerId;
use darter_command_table::ReplyError;
use darter_runtime::Stopwatch;
use darter_script::library_header;
use std::sync::Arc;

/// Compiles a library to see that it can be, and what functions it has. `check` sees its name before.
pub fn compile(
    scripts: &mut WorkerScripts,
    worker: WorkerId,
    stopwatch: &'static Stopwatch,
    text: &[u8],
    check: impl FnOnce(&[u8]) -> Result<(), ReplyError>,
) -> Result<Library, ReplyError> {
    let header = library_header(text).map_err(ReplyError::Line)?;
    check(&header.name)?;
    let mut engine = scripts.take_engine(worker)?;
    let functions = engine.load_library(header.body, &mut Loading::new(stopwatch));
    scripts.put_back(engine);
    let functions = functions
        .map_err(reply_error)?
        .into_iter()
        .map(|function| {
            Arc::new(Function {
                name: String::from_utf8_lossy(&function.name).into(),
                description: function.description,
                flags: function.flags,
                reach: Learnt::default(),
            })
        })
        .collect();
    let body_at = text.len() - header.body.len();
    Ok(Library { name: header.name, text: text.into(), body_at, functions })
}

/// Adds `library` in place of the one of its name, unless another one has a function of the same name; nothing is
/// changed then.
pub fn add(libraries: &mut Libraries, library: &Arc<Library>) -> Result<(), ReplyError> {
    let added = libraries.add(Arc::clone(library));
    added.map_err(|function| ServerError::FunctionExists(function.into()).into())
}
