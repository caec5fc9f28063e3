//! What a seed decides before the schedule begins: who is there and what they want.

use crate::random::Random;
use crate::toy::{KEY_COUNT, KEYS_PER_OP_MAX, Key, Op, Verb};
use darter_base::WorkerId;
use darter_txn::{DRAIN_BATCHES_MAX, Router, Routing};
use std::fmt;
use std::ops::Range;

/// Most clients of a schedule: enough for an inbox that is not drained in one go.
pub const CLIENTS_MAX: usize = DRAIN_BATCHES_MAX + 12;
/// Most operations of one client.
pub const OPS_PER_CLIENT_MAX: usize = 12;

/// Clients that are not made to vanish before this moment do not vanish.
const VANISH_TICK_MAX: u32 = 160;

/// A whole schedule but for its interleaving.
#[derive(Debug)]
pub struct Plan {
    pub router: Router,
    pub clients: Vec<Client>,
    pub style: Style,
    /// What is left of the seed's stream: decides the interleaving.
    pub choices: Random,
}

/// What one client sends over its connection.
#[derive(Debug)]
pub struct Client {
    /// The worker that has the connection.
    pub worker: WorkerId,
    /// In the order sent.
    pub ops: Vec<Op>,
    /// Cut `ops` into pipelines: a pipeline is sent when the last one has been answered. Not empty,
    /// contiguous.
    pub pipelines: Vec<Range<usize>>,
    /// From when on the connection may be found gone.
    pub vanish_at: Option<u32>,
}

/// How the interleaving is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// A worker is interrupted at one in so many points.
    pub preempt_one_in: u32,
    /// The odds of the workers are drawn anew once in so many switches: some rest for long.
    pub reweigh_one_in: u32,
    /// Which comes first, letters or connections.
    pub mail: Mail,
    /// Whether letters between two workers keep their order.
    pub in_order: bool,
    /// Whether windows run operations over several shards too; otherwise each of these is gathered for.
    pub windows_take_several: bool,
}

/// When a worker looks into its mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mail {
    /// Before anything else.
    First,
    /// When there is nothing else to do.
    Last,
    /// As it comes.
    Any,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut choices = Random::new(seed);
        let crowd = choices.one_in(16);
        let router = Router::new(
            u16::try_from(choices.within(1, if crowd { 2 } else { 8 })).expect("at most 8"),
            u16::try_from(choices.within(1, 4)).expect("at most 4"),
            choices.choose(&[Routing::Auto, Routing::Queue]),
        );
        let clients =
            if crowd { crowd_of(&mut choices, router) } else { company_of(&mut choices, router) };
        let style = Style {
            preempt_one_in: choices.choose(&[1, 2, 3, 8, 30]),
            reweigh_one_in: choices.choose(&[4, 20, 100]),
            mail: choices.choose(&[Mail::First, Mail::Last, Mail::Any, Mail::Any]),
            in_order: choices.one_in(2),
            windows_take_several: !choices.one_in(3),
        };
        Self { router, clients, style, choices }
    }
}

/// Many clients with one small wish each, for the hand-over of a long inbox.
fn crowd_of(choices: &mut Random, router: Router) -> Vec<Client> {
    let most = u32::try_from(CLIENTS_MAX).expect("small");
    let count = choices.within(most / 2, most);
    let key_count = choices.within(1, 2);
    (1..=count)
        .map(|number| {
            let key = Key(u8::try_from(choices.below(key_count)).expect("at most 2"));
            let verb = choices.choose(&[Verb::Increment, Verb::Exchange]);
            Client {
                worker: worker_of(choices, router),
                ops: vec![Op::new(verb, &[key], i64::from(number) * 100)],
                pipelines: std::iter::once(0..1).collect(),
                vanish_at: vanish_at(choices, 16),
            }
        })
        .collect()
}

/// A few clients with pipelines of all kinds of operations.
fn company_of(choices: &mut Random, router: Router) -> Vec<Client> {
    let count = choices.within(2, 5);
    let key_count = choices.within(2, u32::try_from(KEY_COUNT).expect("small"));
    let several_one_in = choices.choose(&[2, 3, 8]);
    (1..=count)
        .map(|number| {
            let mut ops = Vec::new();
            let mut pipelines = Vec::new();
            for _ in 0..choices.within(1, 3) {
                let begin = ops.len();
                for _ in 0..choices.within(1, 4) {
                    let value = i64::from(number) * 100 + i64::try_from(ops.len()).expect("small");
                    ops.push(op(choices, key_count, several_one_in, value));
                }
                pipelines.push(begin..ops.len());
            }
            debug_assert!(ops.len() <= OPS_PER_CLIENT_MAX, "what the checker counts on");
            Client {
                worker: worker_of(choices, router),
                ops,
                pipelines,
                vanish_at: vanish_at(choices, 4),
            }
        })
        .collect()
}

fn op(choices: &mut Random, key_count: u32, several_one_in: u32, value: i64) -> Op {
    let wanted = if choices.one_in(several_one_in) {
        choices.within(2, u32::try_from(KEYS_PER_OP_MAX).expect("small")).min(key_count)
    } else {
        1
    };
    let mut keys: Vec<Key> = Vec::with_capacity(KEYS_PER_OP_MAX);
    while keys.len() < wanted as usize {
        let key = Key(u8::try_from(choices.below(key_count)).expect("below KEY_COUNT"));
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let verb = choices.choose(&[
        Verb::Read,
        Verb::Read,
        Verb::Write,
        Verb::Exchange,
        Verb::Increment,
        Verb::Rotate,
    ]);
    Op::new(verb, &keys, value)
}

fn worker_of(choices: &mut Random, router: Router) -> WorkerId {
    let number = choices.below(u32::from(router.worker_count()));
    WorkerId(u16::try_from(number).expect("below worker_count, a u16"))
}

fn vanish_at(choices: &mut Random, one_in: u32) -> Option<u32> {
    choices.one_in(one_in).then(|| choices.within(1, VANISH_TICK_MAX))
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { router, style, .. } = self;
        writeln!(
            formatter,
            "{} workers, {} shards, routing {:?}; {style:?}",
            router.worker_count(),
            router.shard_count(),
            router.routing(),
        )?;
        for key in (0..KEY_COUNT).map(|key| Key(u8::try_from(key).expect("small"))) {
            write!(formatter, "k{} in s{}  ", key.0, key.shard(*router).0)?;
        }
        writeln!(formatter)?;
        for (number, client) in self.clients.iter().enumerate() {
            write!(formatter, "client {number} at worker {}", client.worker.0)?;
            if let Some(tick) = client.vanish_at {
                write!(formatter, ", vanishes from {tick}")?;
            }
            writeln!(formatter)?;
            for pipeline in &client.pipelines {
                let ops: Vec<String> =
                    client.ops[pipeline.clone()].iter().map(ToString::to_string).collect();
                writeln!(formatter, "    {}", ops.join("; "))?;
            }
        }
        Ok(())
    }
}
