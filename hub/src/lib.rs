//! The Flotilla hub: resolves branches, steers rollouts, streams assignments.
