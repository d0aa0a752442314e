//! What is observed of the cluster: lists and watches, kept as facts about managed objects; what is
//! compared, who owns which field, and who else writes.

pub mod facts;
pub mod fields;
pub mod foreign;
pub mod managers;
pub mod share;
pub mod views;
