//! The Flotilla agent.

pub mod health;
