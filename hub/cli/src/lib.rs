//! The flotilla command line: shows the fleet and drives promotion.
