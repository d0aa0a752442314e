//! Trust in new roots (threat model V12): a holder of roots accepts only roots whose key an old root has certified (RFC
//! 4210, section 4.4, "newWithOld"), so that an attacker who controls the hub but not the authority's key cannot add a
//! root.

use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::digest::Digest;
use crate::tls::{self, TlsError};

/// Most certificates of a bundle, or of endorsements.
const MAX_CERTIFICATES: usize = 8;

/// A trust bundle is rejected.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// Something is not a certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Something is not a certificate.
    #[error("a certificate of the trust bundle cannot be read: {0}")]
    Malformed(String),
    /// The bundle has too many certificates.
    #[error("the trust bundle has more than {MAX_CERTIFICATES} certificates")]
    TooMany,
    /// No trusted root certifies it.
    #[error(
        "the hub offers a root ({0}) that no trusted root has certified: it is refused; if it \
         is intended, give the agent the new trust bundle by hand"
    )]
    NotEndorsed(String),
}

/// Checks a bundle that is to replace another one, at `now` (seconds since the epoch).
///
/// # Errors
/// When one of its roots is new and not certified, directly or through others, by a root of the old bundle.
pub fn judge_bundle(
    trusted: &str,
    offered: &str,
    endorsements: &str,
    now: i64,
) -> Result<(), RootsError> {
    let trusted = ders("trust bundle", trusted)?;
    let offered = ders("trust bundle", offered)?;
    let endorsements = match endorsements.trim() {
        "" => Vec::new(),
        text => ders("endorsements", text)?,
    };
    let mut good = parse(&trusted)?;
    let endorsements = parse(&endorsements)?;
    let mut open: Vec<X509Certificate<'_>> = parse(&offered)?
        .into_iter()
        .filter(|root| !trusted.iter().any(|known| known == root.as_raw()))
        .collect();
    // A new root may be certified by another new root, so rounds continue as long as they accept a root.
    while !open.is_empty() {
        let mut progress = false;
        let before = open.len();
        open.retain(|root| {
            let endorsed = endorsements.iter().any(|endorsed| {
                endorses(endorsed, root, now) && good.iter().any(|by| signed_by(endorsed, by))
            });
            if endorsed {
                good.push(root.clone());
            }
            !endorsed
        });
        progress |= open.len() < before;
        // An intermediate root may no longer be offered itself, while the certificate that endorses it still is.
        for endorsed in &endorsements {
            let known = good
                .iter()
                .any(|root| root.public_key().raw == endorsed.public_key().raw);
            if !known
                && is_valid_authority(endorsed, now)
                && good.iter().any(|by| signed_by(endorsed, by))
            {
                good.push(endorsed.clone());
                progress = true;
            }
        }
        if !progress {
            let unknown = open.first().map(|root| Digest::of(root.as_raw()));
            return Err(RootsError::NotEndorsed(
                unknown.map(|digest| digest.to_string()).unwrap_or_default(),
            ));
        }
    }
    Ok(())
}

fn ders(what: &'static str, pem: &str) -> Result<Vec<Vec<u8>>, RootsError> {
    let all = tls::certificates(what, pem)?;
    if all.len() > MAX_CERTIFICATES {
        return Err(RootsError::TooMany);
    }
    Ok(all.into_iter().map(|root| root.to_vec()).collect())
}

fn parse(ders: &[Vec<u8>]) -> Result<Vec<X509Certificate<'_>>, RootsError> {
    ders.iter()
        .map(|der| match X509Certificate::from_der(der) {
            Ok((_, certificate)) => Ok(certificate),
            Err(error) => Err(RootsError::Malformed(error.to_string())),
        })
        .collect()
}

fn is_valid_authority(certificate: &X509Certificate<'_>, now: i64) -> bool {
    let validity = certificate.validity();
    certificate.is_ca()
        && validity.not_before.timestamp() <= now
        && now <= validity.not_after.timestamp()
}

fn endorses(endorsement: &X509Certificate<'_>, root: &X509Certificate<'_>, now: i64) -> bool {
    is_valid_authority(endorsement, now)
        && endorsement.public_key().raw == root.public_key().raw
        && endorsement.subject().as_raw() == root.subject().as_raw()
}

fn signed_by(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    certificate.issuer().as_raw() == issuer.subject().as_raw()
        && certificate
            .verify_signature(Some(issuer.public_key()))
            .is_ok()
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    struct Root {
        key: KeyPair,
        params: CertificateParams,
    }

    impl Root {
        fn new(name: &str) -> Self {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
            let key = KeyPair::generate().unwrap();
            Self { key, params }
        }

        fn pem(&self) -> String {
            self.params.self_signed(&self.key).unwrap().pem()
        }

        fn endorsed_by(&self, other: &Self) -> String {
            let issuer = Issuer::from_params(&other.params, &other.key);
            self.params.signed_by(&self.key, &issuer).unwrap().pem()
        }
    }

    const NOW: i64 = 1_790_000_000;

    #[test]
    fn v12_a_new_root_needs_a_certificate_by_an_old_one() {
        let [a, b, c, evil] = ["a", "b", "c", "evil"].map(Root::new);
        // Made once: a self-signed certificate by ECDSA differs from call to call.
        let [a_pem, b_pem, c_pem, evil_pem] = [&a, &b, &c, &evil].map(Root::pem);
        let (b_by_a, c_by_b) = (b.endorsed_by(&a), c.endorsed_by(&b));
        let judge = |offered: &str, by: &str| {
            judge_bundle(&a_pem, offered, by, NOW).map_err(|e| e.to_string())
        };
        assert_eq!(judge(&a_pem, ""), Ok(()));
        assert_eq!(judge(&format!("{a_pem}{b_pem}"), &b_by_a), Ok(()));
        assert_eq!(judge(&b_pem, &b_by_a), Ok(()), "the old one may go");
        let both = format!("{b_by_a}{c_by_b}");
        assert_eq!(judge(&c_pem, &both), Ok(()), "two rotations were missed");
        assert!(judge(&b_pem, "").is_err());
        assert!(judge(&c_pem, &c_by_b).is_err(), "a link is missing");
        assert!(judge(&evil_pem, &both).is_err());
        assert!(judge(&format!("{a_pem}{evil_pem}"), &evil.endorsed_by(&evil)).is_err());
        // Certified by a root that only has the name of a trusted root.
        let named = Root::new("a");
        assert!(judge(&evil_pem, &evil.endorsed_by(&named)).is_err());
        assert!(judge("", "").is_err());
        assert!(judge("junk", "").is_err());
        assert!(judge(&a_pem.repeat(9), "").is_err());
    }

    #[test]
    fn v12_a_leaf_or_an_expired_endorsement_stands_for_nobody() {
        let [a, b] = ["a", "b"].map(Root::new);
        let (a_pem, b_pem) = (a.pem(), b.pem());
        let mut leaf = b.params.clone();
        leaf.is_ca = IsCa::ExplicitNoCa;
        let issuer = Issuer::from_params(&a.params, &a.key);
        let by_leaf = leaf.signed_by(&b.key, &issuer).unwrap().pem();
        assert!(judge_bundle(&a_pem, &b_pem, &by_leaf, NOW).is_err());
        let mut short = b.params.clone();
        // Three weeks before NOW.
        short.not_after = rcgen::date_time_ymd(2026, 9, 1);
        let expired = short.signed_by(&b.key, &issuer).unwrap().pem();
        assert!(judge_bundle(&a_pem, &b_pem, &expired, NOW).is_err());
        assert!(judge_bundle(&a_pem, &b_pem, &expired, NOW - 60 * 86_400).is_ok());
    }
}
