//! The certificate that is presented to the hub.

use jiff::Timestamp;

use super::{Acceptance, Connection};
use crate::identity::{CertifiedIdentity, Error};

impl Connection {
    /// Whether the presented certificate has expired, by this node's clock.
    pub(super) fn has_expired(&self) -> bool {
        self.certified.expires_at <= Timestamp::now()
    }

    /// Takes a certificate that has just been stored in files, to present it when all pods have it.
    pub(super) fn set_certified(&mut self, certified: CertifiedIdentity) {
        tracing::info!(expires_at = %certified.expires_at, "certificate renewed");
        self.metrics.certificate(certified.expires_at);
        self.renewed.send_modify(|times| *times += 1);
        self.next = Some((*self.renewed.borrow(), certified));
    }

    /// Presents the newest certificate from now on, if all pods have it. True: it is another one.
    pub(super) fn show_next(&mut self) -> bool {
        let Some((times, certified)) = self.next.take() else {
            return false;
        };
        let all_have_it = self
            .kept
            .as_ref()
            .is_none_or(|kept| *kept.borrow() >= times);
        if all_have_it {
            self.certified = certified;
        } else {
            self.next = Some((times, certified));
        }
        all_have_it
    }

    /// The hub may no longer accept the certificate: it has expired, or its authority is not trusted now.
    /// The key still identifies the agent (E10). If it already waited to be accepted before, the hub said
    /// so, and only a token can identify it.
    pub(super) async fn recover(&mut self, before: Acceptance) -> Acceptance {
        let expired = self.has_expired();
        let mut recovered = match before {
            Acceptance::Awaited => Err(Error::Unknown(String::new())),
            Acceptance::NotAwaited => self.identity.recover(&self.hub).await,
        };
        if let (Err(Error::Unknown(why)), Some(token)) = (&recovered, &self.token) {
            if before == Acceptance::NotAwaited {
                tracing::warn!(
                    why,
                    "the hub does not know this agent's key; trying the join token again"
                );
            }
            let (cluster, uid) = (&self.certified.cluster, &self.facts.uid);
            let again = self.identity.enroll_again(&self.hub, token, cluster, uid);
            recovered = match again.await {
                Ok(None) => {
                    match self.identity.fingerprint() {
                        _ if before == Acceptance::Awaited => {}
                        Ok(key) => tracing::info!(
                            %cluster,
                            "waiting to be accepted: flotilla cluster accept {cluster} \
                             --fingerprint {key}"
                        ),
                        Err(error) => tracing::warn!(%error, "waiting to be accepted"),
                    }
                    return Acceptance::Awaited;
                }
                Err(error) => {
                    tracing::warn!(
                        %error,
                        "cannot enrol again; continuing with the last assignment"
                    );
                    return Acceptance::NotAwaited;
                }
                again => again,
            };
        }
        match recovered {
            Ok(Some(certified)) => {
                self.set_certified(certified);
                if let Some(kept) = &mut self.kept {
                    let times = *self.renewed.borrow();
                    // Fails only when the agent stops.
                    let _ = kept.wait_for(|kept| *kept >= times).await;
                }
                self.show_next();
            }
            Ok(None) => tracing::warn!(
                "the certificate expired long ago: accept this cluster again with `flotilla \
                 cluster accept`; until then the agent continues with the last assignment"
            ),
            Err(error) if expired => tracing::warn!(%error, "{}", none_to_be_had(&error)),
            // Usually the hub is only unreachable, or says that the certificate is still valid.
            Err(error) => tracing::debug!(%error, "no new certificate"),
        }
        Acceptance::NotAwaited
    }
}

/// Message about a certificate that has expired by this node's clock and could not be replaced.
fn none_to_be_had(error: &Error) -> &'static str {
    match error {
        // The hub accepts the certificate all the same: it judges by its own clock.
        Error::StillGood(_) => {
            "the certificate has expired by this node's clock, but is valid by the hub's: check \
             both clocks; continuing with this certificate"
        }
        _ => "the certificate has expired, and no new one could be obtained",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_good_for_the_hub_is_not_said_to_have_ended() {
        let good = none_to_be_had(&Error::StillGood("it is good: use it".to_owned()));
        assert!(good.contains("check both clocks"), "{good}");
        assert!(!good.contains("no new one"), "{good}");
        let later = none_to_be_had(&Error::Later("stopping".to_owned()));
        assert!(later.contains("no new one could be obtained"), "{later}");
    }
}
