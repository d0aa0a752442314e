//! Messages about streams that failed without an answer of the hub.

use std::error::Error as _;

use flotilla_shared::dial::innermost;
use tonic::Status;

/// The message about a stream that the hub did not open. In TLS 1.3 a hub that does not accept the
/// certificate ends the connection afterwards, mostly without a message, and only its log has the
/// reason.
pub(super) fn why(status: &Status) -> String {
    let Some(cause) = status.source() else {
        return status.message().to_owned();
    };
    let cause = innermost(cause);
    match cause.strip_prefix("received fatal alert: ") {
        Some(alert) => format!(
            "the hub rejects this agent's certificate ({alert}): its authority was changed, or \
             its clock is behind: see the hub's log"
        ),
        None => format!(
            "the hub ended the connection ({cause}): it may be restarting. If this continues, \
             it may be rejecting this agent's certificate, because its authority was changed or \
             its clock is behind: see the hub's log"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_that_ends_the_connection_may_have_a_clock_that_is_behind() {
        for (text, begin) in [
            (
                "connection closed",
                "the hub ended the connection (connection closed)",
            ),
            (
                "received fatal alert: CertificateExpired",
                "the hub rejects this agent's certificate (CertificateExpired)",
            ),
        ] {
            let message = why(&Status::from_error(Box::new(std::io::Error::other(text))));
            assert!(message.starts_with(begin), "{message}");
            assert!(message.contains("its clock is behind"), "{message}");
        }
        let refused = Status::permission_denied("this hub has no record of cluster p1");
        assert_eq!(why(&refused), refused.message());
    }
}
