//! A virtual worker: a loop over its letters and its connections, in an order that the seed draws.

use crate::connection::{Connection, client_of};
use crate::coverage::Path;
use crate::defect::Defect;
use crate::plan::Mail;
use crate::stage::{choose, idle, preemption_point};
use crate::toy::Toy;
use crate::world::{Post, World};
use darter_base::WorkerId;
use darter_txn::{Letter, Window};
use std::rc::Rc;

/// What a worker may do next.
#[derive(Clone, Copy)]
enum Turn {
    /// Open a letter.
    Letter,
    /// Serve the connection at this position.
    Serve(usize),
    /// Serve all connections that can share a window.
    ServeTogether,
    /// Find the connection at this position gone.
    Vanish(usize),
}

/// The worker's own state; everything else is in the [`World`].
pub struct Worker {
    world: Rc<World>,
    post: Rc<Post>,
    window: Window<Toy>,
    connections: Vec<Connection>,
    /// Scratch.
    turns: Vec<Turn>,
}

impl Worker {
    /// The worker numbered `me`, with its connections.
    pub fn new(world: &Rc<World>, me: WorkerId) -> Self {
        let connections = world.plan.clients.iter().enumerate();
        Self {
            world: Rc::clone(world),
            post: Rc::new(Post { world: Rc::clone(world), me }),
            window: Window::new(world.router().shard_count()),
            connections: connections
                .filter(|(_, client)| client.worker == me)
                .map(|(client, _)| Connection::new(client))
                .collect(),
            turns: vec![],
        }
    }

    /// Works until the world is over; idles when there is nothing to do.
    pub fn work(mut self) {
        while !self.world.over.get() {
            preemption_point();
            let turn = self.next_turn();
            if turn.is_none() || choose(|choices| choices.one_in(3)) {
                self.window.release(&self.world.cells, &*self.post);
            }
            match turn {
                Some(Turn::Letter) => self.open_letter(),
                Some(Turn::Serve(position)) => {
                    self.connections[position].serve(&mut self.window, &self.world, &self.post);
                }
                Some(Turn::ServeTogether) => {
                    let Self { connections, window, world, post, .. } = &mut self;
                    Connection::serve_together(connections, window, world, post);
                }
                Some(Turn::Vanish(position)) => {
                    self.connections[position].vanish(&self.world, &self.post);
                }
                None => {
                    let times = self.connections.iter().filter_map(|c| c.vanish_at(&self.world));
                    self.world.vanish_at[self.post.me.index()].set(times.min().unwrap_or(u32::MAX));
                    idle();
                }
            }
        }
        self.window.release(&self.world.cells, &*self.post);
        for connection in &mut self.connections {
            connection.abandon(&self.world, &self.post);
        }
    }

    fn next_turn(&mut self) -> Option<Turn> {
        let has_mail = self.world.has_mail(self.post.me);
        let order = self.world.plan.style.mail;
        if has_mail && order == Mail::First {
            return Some(Turn::Letter);
        }
        self.turns.clear();
        for (position, connection) in self.connections.iter().enumerate() {
            if connection.is_ready() {
                self.turns.push(Turn::Serve(position));
            }
            if connection.may_vanish(&self.world) {
                self.turns.push(Turn::Vanish(position));
            }
        }
        let ready = self.turns.iter().filter(|turn| matches!(turn, Turn::Serve(_))).count();
        if ready > 1 {
            self.turns.push(Turn::ServeTogether);
        }
        if has_mail && (order == Mail::Any || self.turns.is_empty()) {
            self.turns.push(Turn::Letter);
        }
        if self.turns.is_empty() {
            return None;
        }
        Some(choose(|choices| choices.choose(&self.turns)))
    }

    fn open_letter(&mut self) {
        let world = Rc::clone(&self.world);
        let letter = world.receive(self.post.me).expect("there is mail");
        match letter {
            Letter::Done(work) => {
                world.took(Path::Done);
                let post = Rc::clone(&self.post);
                self.connection(work.first.client).take_done(work, &world, &post);
            }
            Letter::Turn { work, held } => {
                let cell = world.cells.cell(held.id);
                world.say(self.post.me, || format!("gets {:?} with {:?}", held.id, work.first));
                let work = cell.take_turn(work, held, &*self.post);
                let post = Rc::clone(&self.post);
                let connection = self.connection(work.first.client);
                world.took(if connection.is_gone() { Path::TurnLate } else { Path::Turn });
                connection.take_done(work, &world, &post);
            }
            Letter::Granted { ticket, held } => {
                let id = held.id;
                let post = Rc::clone(&self.post);
                let client = client_of(ticket);
                let connection = self.connections.iter_mut().find(|it| it.client() == client);
                let connection = connection.expect("letters go to the worker that has it");
                let returned = connection.take_grant(ticket, held, &mut self.window, &world, &post);
                world.say(post.me, || match &returned {
                    None => format!("got {id:?} for client {}", client_of(ticket)),
                    Some(_) => format!("got {id:?} too late for client {}", client_of(ticket)),
                });
                match returned {
                    None => world.took(Path::Granted),
                    Some(held) => {
                        world.took(Path::GrantedLate);
                        if world.defect == Some(Defect::KeptGrant) {
                            drop(held);
                        } else {
                            world.cells.put_back(held, &*self.post);
                        }
                    }
                }
            }
            Letter::Knock(id) => {
                world.took(Path::Knock);
                world.say(self.post.me, || format!("hears a knock at {id:?}"));
                world.cells.cell(id).answer_knock(&*self.post);
            }
        }
    }

    /// The connection of a client of this worker.
    fn connection(&mut self, client: usize) -> &mut Connection {
        self.connections
            .iter_mut()
            .find(|connection| connection.client() == client)
            .expect("letters go to the worker that has the connection")
    }
}
