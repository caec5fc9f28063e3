//! EXEC.

use super::Transaction;
use crate::apart::reborrow;
use crate::caller::Caller;
use crate::commands::error::ServerError;
use crate::late_reply::LateReply;
use crate::observed::{Together, work_observed};
use crate::session::Session;
use crate::session_command::{Flow, SessionCall, SessionResult};
use darter_base::ShardId;
use darter_command_table::{Flags, ReplyError, ShardView};
use darter_resp::ReplyWriter;

/// The shards EXEC needs of a client, all together: none if nothing will be run.
pub fn shards_of(session: &Session) -> Vec<ShardId> {
    match &session.transaction {
        Some(transaction) if !transaction.is_refused() => {
            let mut shards = transaction.shards().clone();
            shards.extend(session.facts.watches.shards());
            shards.into_vec()
        }
        _ => Vec::new(),
    }
}

/// Runs what the client has queued, unless a key it watches has changed. `view` spans the shards of
/// both.
pub fn exec(call: &mut SessionCall<'_>, view: &mut ShardView<'_>) -> SessionResult {
    // The server can have become a replica since the command was admitted. What becomes of it on the way, by a command of
    // this transaction, is nothing to those behind that.
    if let Some(error) = call.core.refusal_of_queued(call.session, call.entry) {
        let goes_elsewhere = call.core.redirects_queued(call.session);
        call.core.discard(call.session, call.turn.now);
        return Err(if goes_elsewhere { error } else { ServerError::exec_refused(&error).into() });
    }
    let Some(transaction) = call.core.end_transaction(call.session) else {
        return Err(ServerError::ExecWithoutMulti.into());
    };
    if transaction.is_refused() {
        call.core.unwatch(call.session, call.turn.now);
        return Err(ServerError::ExecAborted.into());
    }
    if transaction.flags().has(Flags::DENYOOM) && !call.core.make_room(view, call.turn.now) {
        call.core.unwatch(call.session, call.turn.now);
        return Err(ServerError::exec_refused(&ReplyError::OutOfMemory).into());
    }
    let watches = call.core.end_watching(call.session);
    let interest = call.core.limits.get().interest;
    let are_same = work_observed(call.shared, interest, view, None, |view| {
        watches.give_back(view, call.turn.now)
    });
    if !are_same {
        call.reply().null_array();
        return Ok(Flow::Next);
    }
    let together = Together::default();
    let flow = run(call, &transaction, &together, view);
    together.tell(call.shared, call.id);
    call.core.settle(view);
    Ok(flow)
}

fn run(
    call: &mut SessionCall<'_>,
    transaction: &Transaction,
    together: &Together,
    view: &mut ShardView<'_>,
) -> Flow {
    let core = call.core;
    let stopwatch = &core.shared.stopwatch;
    // Only session commands have replies that come later. The connection's output must not end within
    // a reply when others write to it or it is sent, so these go to a place of their own.
    let mut apart = (!transaction.only_shards()).then(Box::<LateReply>::default);
    let mut caller = Caller::new(core, call.session, call.id, call.turn)
        .nested(together)
        .while_serving(reborrow(&mut call.meanwhile));
    let header = apart.as_mut().map_or(&mut *call.output, |reply| reply.output());
    ReplyWriter::new(header, caller.session.protocol).array(transaction.commands().len());
    let mut begun = stopwatch.now();
    for queued in transaction.commands() {
        let request = queued.as_request();
        core.follow_users(caller.session);
        let output = apart.as_mut().map_or(&mut *call.output, |reply| reply.output());
        if let Some(denial) = caller.denial(request) {
            caller.refuse(request, denial, output);
            continue;
        }
        let unsent_before = output.len();
        let flow = caller.run(request, view, output);
        let reply_bytes = output.len() - unsent_before;
        let ended = stopwatch.now();
        let mut nanos = stopwatch.nanos_between(begun, ended);
        begun = ended;
        if let Some(apart) = &mut apart {
            match flow {
                Ok(Flow::Later(reply)) => {
                    nanos += u64::try_from(reply.held_for.as_nanos()).unwrap_or(u64::MAX);
                    apart.append(*reply);
                }
                Ok(Flow::Close) => apart.close(),
                Ok(Flow::Yield) => apart.yields(),
                Ok(_) | Err(_) => {}
            }
        }
        core.statistics().nested_nanos.add(nanos);
        core.note(caller.session, request, nanos, reply_bytes, call.turn);
    }
    apart.map_or(Flow::Next, Flow::Later)
}
