//! Notifications about a fleet, for each type of target. Pure: a [`Notice`] and what is known of earlier ones go in, a
//! [`Post`] comes out; sending it is left to the caller.
//!
//! ```text
//!   audit entry --> Event --wants?--> Target --compose--> Post { url, headers, JSON } --> (the sender)
//!   clusters that go and come --Gather, a minute and by reason--> Event
//! ```

mod compose;
mod config;
mod event;
mod fault;
mod gather;
mod message;
mod severity;
mod text;

pub use compose::{MessageRef, Post, PostAuth, compose, resolved};
pub use config::{Config, Format, Mail, Target, parse};
pub use event::{Event, Kind, Notice};
pub use fault::SendError;
pub use gather::{ClusterEvent, Gather, Reason};
pub use message::message;
pub use severity::Severity;
