//! The time as objects have it.

/// Returns the current time in whole seconds, as `metav1.Time` is written.
pub(crate) fn now() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}
