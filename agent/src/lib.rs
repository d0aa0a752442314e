//! The Flotilla agent: pulls, verifies, renders, reconciles and reports.
