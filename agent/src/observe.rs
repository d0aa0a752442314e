//! Observation of the cluster: lists and watches, kept as facts about managed objects; comparison,
//! ownership of fields, and other writers.

pub mod facts;
pub mod fields;
pub mod foreign;
pub mod managers;
pub mod share;
pub mod views;
