//! Cross-process tests, fault injection and the demo fleet.
