//! The Flotilla agent.

pub mod health;
pub mod inventory;
pub mod plan;
pub mod policy;
