//! Requests for certificates from the hub: enrolment, renewal, and recovery with an expired one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::v1;
use flotilla_proto::v1::enrollment_service_client::EnrollmentServiceClient;
use flotilla_shared::dial::dial;
use flotilla_shared::id::ClusterName;
use flotilla_shared::report::{MAX_MESSAGE_BYTES, plain_line};
use flotilla_shared::tls;
use flotilla_shared::words::CERTIFICATE_GOOD;
use rcgen::CertificateParams;
use tonic::transport::Channel;

use super::{CertifiedIdentity, Error, IdentityFiles, read, read_private};

impl IdentityFiles {
    /// Enrols: asks until a person has accepted the cluster.
    ///
    /// # Errors
    /// When the hub refuses, or files cannot be written. No connection is tried again.
    pub async fn enroll(
        &self,
        hub: &str,
        trust_bundle: &str,
        token: &str,
        cluster: &ClusterName,
        cluster_uid: &str,
    ) -> Result<CertifiedIdentity, Error> {
        let request = CertificateParams::default().serialize_request(&self.key()?)?;
        let tls = Arc::new(tls::client_config(trust_bundle, None)?);
        let mut told = false;
        loop {
            let wait = match self
                .ask(hub, &tls, token, cluster, cluster_uid, &request)
                .await
            {
                Ok(response) if !response.certificate_chain.is_empty() => {
                    self.keep(
                        &response.certificate_chain,
                        &response.trust_bundle,
                        &response.trust_bundle,
                        "",
                    )?;
                    if let Some(certified) = self.load()? {
                        tracing::info!(%cluster, expires_at = %certified.expires_at, "enrolled");
                        return Ok(certified);
                    }
                    Duration::from_secs(1)
                }
                Ok(response) => {
                    if !std::mem::replace(&mut told, true) {
                        let fingerprint = self.fingerprint()?;
                        tracing::info!(
                            %cluster,
                            "waiting to be accepted: flotilla cluster accept {cluster} \
                             --fingerprint {fingerprint}"
                        );
                    }
                    Duration::from_secs(u64::from(response.retry_after_seconds.clamp(1, 60)))
                }
                Err(error @ (Error::Dial(_) | Error::Later(_))) => {
                    tracing::warn!(%error, "cannot enrol yet; retrying");
                    Duration::from_secs(2)
                }
                Err(error) => return Err(error),
            };
            tokio::time::sleep(wait).await;
        }
    }

    async fn ask(
        &self,
        hub: &str,
        tls: &Arc<rustls::ClientConfig>,
        token: &str,
        cluster: &ClusterName,
        cluster_uid: &str,
        request: &rcgen::CertificateSigningRequest,
    ) -> Result<v1::EnrollResponse, Error> {
        let channel = dial(hub, Arc::clone(tls)).await?;
        let response = EnrollmentServiceClient::new(channel)
            .enroll(v1::EnrollRequest {
                token: token.to_owned(),
                csr: request.der().to_vec(),
                cluster: cluster.to_string(),
                labels: Vec::new(),
                cluster_uid: cluster_uid.to_owned(),
                agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            })
            .await;
        response
            .map(tonic::Response::into_inner)
            .map_err(|status| no_certificate(&status, Error::Refused))
    }

    /// Gets a new certificate over a connection made with the old one.
    ///
    /// # Errors
    /// When the hub refuses or files cannot be written.
    pub async fn renew(&self, channel: Channel) -> Result<CertifiedIdentity, Error> {
        if let Some(mounted) = &self.mounted {
            return self.renewed_elsewhere(mounted);
        }
        let request = CertificateParams::default().serialize_request(&self.key()?)?;
        let response = EnrollmentServiceClient::new(channel)
            .renew(v1::RenewRequest {
                csr: request.der().to_vec(),
            })
            .await
            .map_err(|status| no_certificate(&status, Error::Withheld))?
            .into_inner();
        self.keep(
            &response.certificate_chain,
            &self.trusted()?,
            &response.trust_bundle,
            &response.endorsements,
        )?;
        self.load()?
            .ok_or_else(|| Error::Withheld("the answer holds no certificate".to_owned()))
    }

    /// Enrols again with the present key, since the hub no longer knows it: the cluster was removed there,
    /// and a new token has been provided here. None: a person has to accept it.
    ///
    /// # Errors
    /// When the token is not good, there is no connection, or files cannot be used.
    pub async fn enroll_again(
        &self,
        hub: &str,
        token: &Path,
        cluster: &ClusterName,
        cluster_uid: &str,
    ) -> Result<Option<CertifiedIdentity>, Error> {
        let token = read_private(token)?;
        let trusted = self.trusted()?;
        let request = CertificateParams::default().serialize_request(&self.key()?)?;
        let tls = Arc::new(tls::client_config(&trusted, None)?);
        let asked = self.ask(hub, &tls, token.trim(), cluster, cluster_uid, &request);
        let response = asked.await?;
        if response.certificate_chain.is_empty() {
            return Ok(None);
        }
        let (chain, bundle) = (&response.certificate_chain, &response.trust_bundle);
        self.keep(chain, &trusted, bundle, "")?;
        self.load()
    }

    fn trusted(&self) -> Result<String, Error> {
        read(&self.path("ca.crt"))
    }

    /// Gets a new certificate for a key whose last certificate the hub no longer accepts. None: a
    /// person has to accept the cluster again.
    ///
    /// # Errors
    /// When there is no connection, the hub refuses, or files cannot be written.
    pub async fn recover(&self, hub: &str) -> Result<Option<CertifiedIdentity>, Error> {
        if let Some(mounted) = &self.mounted {
            return self.renewed_elsewhere(mounted).map(Some);
        }
        let trusted = self.trusted()?;
        let request = CertificateParams::default().serialize_request(&self.key()?)?;
        let channel = dial(hub, Arc::new(tls::client_config(&trusted, None)?)).await?;
        let response = EnrollmentServiceClient::new(channel)
            .recover(v1::RecoverRequest {
                csr: request.der().to_vec(),
            })
            .await
            .map_err(|status| match status.code() {
                tonic::Code::PermissionDenied => Error::Unknown(status.message().to_owned()),
                _ => no_certificate(&status, withheld),
            })?
            .into_inner();
        if response.certificate_chain.is_empty() {
            return Ok(None);
        }
        self.keep(
            &response.certificate_chain,
            &trusted,
            &response.trust_bundle,
            &response.endorsements,
        )?;
        self.load()
    }
}

/// The hub gives no new certificate, mostly because the present one is still valid.
fn withheld(text: String) -> Error {
    match text.ends_with(CERTIFICATE_GOOD) {
        true => Error::StillGood(text),
        false => Error::Withheld(text),
    }
}

/// Maps the status of a call that returned no certificate: a refusal, or a temporary failure.
fn no_certificate(status: &tonic::Status, refused: fn(String) -> Error) -> Error {
    use tonic::Code;
    // A status with a source came from the connection, for example because the hub stopped meanwhile.
    let was_cut = std::error::Error::source(status).is_some();
    let says_no = matches!(
        status.code(),
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated
    );
    let text = match status.message() {
        "" => status.code().description(),
        text => text,
    };
    let text = plain_line(text, MAX_MESSAGE_BYTES);
    match says_no && !was_cut {
        true => refused(text),
        false => Error::Later(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_the_hub_finds_good_is_not_withheld() {
        let refusal =
            |text: &str| no_certificate(&tonic::Status::failed_precondition(text), withheld);
        let good = refusal("the certificate of d1 is good: use it");
        assert!(matches!(good, Error::StillGood(_)), "{good}");
        let locked = refusal("d1 is locked");
        assert!(matches!(locked, Error::Withheld(_)), "{locked}");
    }

    #[test]
    fn what_the_hub_cannot_say_is_no_refusal() {
        let cut = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let cut = tonic::Status::from_error(Box::new(cut));
        for refused in [Error::Refused as fn(String) -> Error, Error::Withheld] {
            for later in [
                cut.clone(),
                tonic::Status::unavailable("stopping"),
                tonic::Status::resource_exhausted("too many"),
                tonic::Status::deadline_exceeded(""),
                tonic::Status::internal("the store failed"),
                tonic::Status::unknown("what"),
            ] {
                let error = no_certificate(&later, refused);
                assert!(matches!(error, Error::Later(_)), "{later:?}: {error}");
                assert!(!error.to_string().ends_with(": "), "{error}");
            }
            for no in [
                tonic::Status::permission_denied("the token is spent"),
                tonic::Status::unauthenticated("it is over"),
                tonic::Status::already_exists("the name is taken"),
            ] {
                let error = no_certificate(&no, refused);
                assert_eq!(
                    error.to_string(),
                    refused(no.message().to_owned()).to_string()
                );
            }
        }
    }
}
