//! What the clients saw.

use crate::plan::Plan;
use crate::toy::{Execution, Op, OpId, Reply, Values};
use std::fmt;

/// One operation as its client knows it, and when it really ran.
#[derive(Clone, Debug)]
pub struct Record {
    pub op: Op,
    /// When its pipeline was sent.
    pub invoked: Option<u32>,
    /// When its answer was there, and what it was. Never without `invoked`.
    pub response: Option<(u32, Reply)>,
    /// When it ran, each time. No client knows: used to search cleverly, and to explain.
    pub executed: Vec<u32>,
}

/// Everything that can be observed about a schedule from outside.
#[derive(Clone, Debug)]
pub struct History {
    /// Per client, in program order.
    pub clients: Vec<Vec<Record>>,
    /// What the shards contain when everything has come to rest.
    pub rest: Values,
}

impl History {
    /// A history of which nothing has happened yet.
    pub fn of(plan: &Plan) -> Self {
        let record = |op: &Op| Record { op: *op, invoked: None, response: None, executed: vec![] };
        Self {
            clients: plan.clients.iter().map(|c| c.ops.iter().map(record).collect()).collect(),
            rest: Values::default(),
        }
    }

    /// The record of an operation.
    pub fn record(&mut self, id: OpId) -> &mut Record {
        &mut self.clients[id.client][id.index]
    }

    /// Completes the history when the schedule is over.
    pub fn conclude(&mut self, log: &[Execution], rest: Values) {
        for execution in log {
            self.record(execution.id).executed.push(execution.tick);
        }
        self.rest = rest;
    }
}

impl fmt::Display for History {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (client, records) in self.clients.iter().enumerate() {
            for record in records.iter().filter(|record| record.invoked.is_some()) {
                write!(formatter, "client {client:2}  {:24}", record.op.to_string())?;
                write!(formatter, "sent {:4}", record.invoked.unwrap_or_default())?;
                match record.response {
                    Some((tick, reply)) => write!(formatter, "  answered {tick:4} {reply:?}")?,
                    None => write!(formatter, "  not answered")?,
                }
                writeln!(formatter, "  ran {:?}", record.executed)?;
            }
        }
        writeln!(formatter, "values at rest {:?}", self.rest)
    }
}
