//! What people are told of a fleet, and how each kind of target wants to be told. Pure: a [`Notice`] and
//! what is known of the ones before go in, a [`Post`] comes out; who sends it is somebody else's business.
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

pub use compose::{Known, Post, Sign, compose, resolved};
pub use config::{Config, Format, Mail, Target, parse};
pub use event::{Event, Kind, Notice};
pub use fault::Fault;
pub use gather::{Gather, Happening, Reason};
pub use message::message;
pub use severity::Severity;
