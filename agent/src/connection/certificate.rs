//! Which certificate is shown, and since when.

use super::Connection;
use crate::identity::{Certified, Error};

impl Connection {
    /// Takes a certificate that has just been kept in files, to show it when all pods have it.
    pub(super) fn set_certified(&mut self, certified: Certified) {
        tracing::info!(expires_at = %certified.expires_at, "certificate renewed");
        self.metrics.certificate(certified.expires_at);
        self.renewed.send_modify(|times| *times += 1);
        self.next = Some((*self.renewed.borrow(), certified));
    }

    /// Shows the newest certificate from now on, if all pods have it. True: it is another one.
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

    /// The hub may not take our certificate any more: it has expired, or its authority is not trusted
    /// now. Our key still says who we are (E10).
    pub(super) async fn recover(&mut self, expired: bool) {
        let mut recovered = self.identity.recover(&self.hub).await;
        if let (Err(Error::Unknown(why)), Some(token)) = (&recovered, &self.token) {
            tracing::warn!(why, "tries the token again");
            let (cluster, uid) = (&self.certified.cluster, &self.facts.uid);
            let again = self.identity.enroll_again(&self.hub, token, cluster, uid);
            recovered = match again.await {
                Ok(None) => {
                    match self.identity.fingerprint() {
                        Ok(key) => tracing::info!(
                            %cluster,
                            "waits to be accepted: flotilla cluster accept {cluster} --fingerprint {key}"
                        ),
                        Err(error) => tracing::warn!(%error, "waits to be accepted"),
                    }
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot enrol anew; the last assignment goes on");
                    return;
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
                "the certificate expired long ago: a person has to accept this cluster again with \
                 `flotilla cluster accept`; the last assignment goes on"
            ),
            Err(error) if expired => {
                tracing::warn!(%error, "the certificate has expired, and no new one is to be had");
            }
            // Most often the hub is only away, or says that the certificate is good.
            Err(error) => tracing::debug!(%error, "no other certificate"),
        }
    }
}
