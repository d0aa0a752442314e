//! Renders Helm charts as `helm template` prints them, as a pure function of bytes in memory.
//!
//! No clock, no randomness, no environment, no network and no file is read here: what a render depends
//! on comes in as an argument, and functions of Helm that would break this are refused by name and place.
//!
//! Rooms: [`value`] is data as Go's templates see it; [`template`] is Go's `text/template`; [`fmt`] is Go's
//! `fmt` and `strconv`; [`functions`] is what Helm and sprig add; [`yaml`] reads and writes text formats byte
//! for byte as Helm's libraries do; [`chart`] loads charts and picks their subcharts; [`values`] brings values
//! together; [`release`] makes the manifests of all that.

pub mod capabilities;
pub mod chart;
mod fields;
pub mod fmt;
pub mod functions;
mod message;
pub mod release;
mod schema;
pub mod template;
pub mod value;
pub mod values;
pub mod yaml;

pub use functions::semver;
pub use message::Message;
pub use template::{Cache, Engine, Error, Generated, Limits, Options, Templates, Warning};
pub use value::{Host, IntKind, List, ListKind, Map, MapKind, Str, UintKind, Value};
