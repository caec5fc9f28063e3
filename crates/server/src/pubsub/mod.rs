//! Pub/sub: messages from whoever publishes to whoever subscribed.
//!
//! ```text
//! publisher's worker                       subscriber's worker
//!   directory: who has subscribers?          registry: which connections?
//!     -> workers, patterns that match          -> the message into each one's output
//!   one letter to each such worker  ------>
//! ```
//!
//! A subscription is written down three times: in its session ([`subscriptions`]), so that it ends with
//! it; in the registry of its worker ([`registry`]), which nobody else touches; and, as a number of
//! subscribers per worker, in the one [`directory`] all workers share. PUBLISH asks the directory
//! alone: it gives the count that is answered, and names the workers that get the message, which is
//! packed once and shared ([`publication`]). A mailbox is first come, first served, so the messages of
//! one publisher arrive in its order.
//!
//! What is under way to a worker is counted ([`transit`]): a client that subscribes or unsubscribes
//! first lets come what was published before, and a publisher that is far ahead of a worker waits for
//! it, so that mailboxes stay bounded.

pub mod changing;
pub mod delivery;
pub mod directory;
pub mod listing;
pub mod patterns;
pub mod publication;
pub mod registry;
pub mod subscriptions;
pub mod transit;

pub use changing::{Change, Changing, LongChange, NAMES_PER_SLICE, must_read_letters};
pub use directory::Directory;
pub use publication::Publication;
pub use registry::Registry;
pub use subscriptions::{Kind, LeftSubscriptions, Subscriptions};
