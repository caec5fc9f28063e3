//! The protocol broken on purpose, to see that the checks notice.
//!
//! The real code stays as it is: defects sit in what the simulator puts around it, in the carrier
//! ([`crate::world::Post`]), in the connection ([`crate::connection`]), and in a coordinator of its
//! own, here.

use crate::toy::{Op, OpId, Registers, Reply, Toy, Verb, execute};
use crate::world::{Post, World};
use darter_base::ShardId;
use darter_txn::{Held, Step, Ticket, View};
use std::fmt;
use std::str::FromStr;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Every second client's coordinators take shards in descending order.
    DescendingCoordinator,
    /// A pipeline goes on behind an operation that it posted, without waiting for it.
    OvertakingPipeline,
    /// A put-back does not hear the reservation in the inbox and seats the box.
    DeafPutBack,
    /// A coordinator gives each shard back as soon as it has written there, before it has the next.
    /// (Giving back early what it is done with, once it has all, would tear nothing.)
    EarlyRelease,
    /// Some knocks get lost.
    LostKnock,
    /// The shard granted to a coordinator that has vanished is not put back.
    KeptGrant,
}

impl Defect {
    /// Every defect.
    pub const ALL: [Self; 6] = [
        Self::DescendingCoordinator,
        Self::OvertakingPipeline,
        Self::DeafPutBack,
        Self::EarlyRelease,
        Self::LostKnock,
        Self::KeptGrant,
    ];

    /// Whether coordinators of `client` are of the broken kind.
    pub fn spoils_coordinator_of(self, client: usize) -> bool {
        match self {
            Self::DescendingCoordinator => client % 2 == 1,
            Self::EarlyRelease => true,
            _ => false,
        }
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::DescendingCoordinator => "descending-coordinator",
            Self::OvertakingPipeline => "overtaking-pipeline",
            Self::DeafPutBack => "deaf-put-back",
            Self::EarlyRelease => "early-release",
            Self::LostKnock => "lost-knock",
            Self::KeptGrant => "kept-grant",
        })
    }
}

impl FromStr for Defect {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let names: Vec<String> = Self::ALL.iter().map(ToString::to_string).collect();
        Self::ALL
            .into_iter()
            .find(|defect| defect.to_string() == name)
            .ok_or_else(|| format!("one of {}", names.join(", ")))
    }
}

/// A coordinator with a defect: descending, or releasing early.
#[derive(Debug)]
pub struct SpoiltGathering {
    /// In order of taking, reversed; what is not taken yet.
    wanted: Vec<ShardId>,
    held: Vec<Held<Toy>>,
    /// Writes are done shard by shard.
    early: bool,
}

impl SpoiltGathering {
    /// Starts a gathering of the shards of `op`.
    pub fn new(op: &Op, world: &World) -> Self {
        let mut wanted = op.shards(world.router());
        wanted.sort_unstable();
        wanted.dedup();
        if world.defect != Some(Defect::DescendingCoordinator) {
            wanted.reverse();
        }
        let early = world.defect == Some(Defect::EarlyRelease) && op.verb == Verb::Write;
        Self { wanted, held: vec![], early }
    }

    /// As in [`darter_txn::Gathering`], in the order of `wanted`.
    pub fn advance(&mut self, op: &Op, ticket: Ticket, world: &World, post: &Post) -> Step {
        loop {
            if self.early {
                self.write_early(op, world, post);
            }
            let Some(next) = self.wanted.last() else { return Step::Ready };
            let Some(held) = world.cells.cell(*next).take_or_reserve(post.me, ticket) else {
                return Step::Waiting;
            };
            self.accept(held);
        }
    }

    /// As in [`darter_txn::Gathering`].
    pub fn accept(&mut self, held: Held<Toy>) {
        self.wanted.pop();
        self.held.push(held);
    }

    /// Runs the operation, or what is left of it.
    pub fn run(&mut self, op: &Op, id: OpId, world: &World) -> Reply {
        if self.early {
            world.note(id);
            return Reply::default();
        }
        self.held.sort_by_key(|held| held.id);
        execute(op, id, &mut View::several(&mut self.held, world.router()))
    }

    /// As in [`darter_txn::Gathering`].
    pub fn release(&mut self, world: &World, post: &Post) {
        while let Some(held) = self.held.pop() {
            world.cells.put_back(held, post);
        }
    }

    /// Writes the keys of the shards that are held, and gives these back.
    fn write_early(&mut self, op: &Op, world: &World, post: &Post) {
        for held in &mut self.held {
            for key in op.keys().iter().filter(|key| key.shard(world.router()) == held.id) {
                held.shard.values.write(*key, op.value);
            }
        }
        self.release(world, post);
    }
}
