//! Which clients may connect, by their certificates.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// What is asked of a client, by Go's names for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// `NoClientCert`: nothing.
    None,
    /// `RequestClientCert`: a certificate if it has one; whichever.
    Request,
    /// `RequireAnyClientCert`: a certificate, whichever.
    RequireAny,
    /// `VerifyClientCertIfGiven`: if it has a certificate, one of the client CA.
    VerifyIfGiven,
    /// `RequireAndVerifyClientCert`: a certificate of the client CA.
    RequireAndVerify,
}

impl Policy {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "" | "NoClientCert" => Some(Self::None),
            "RequestClientCert" => Some(Self::Request),
            // The format has an older name for it.
            "RequireAnyClientCert" | "RequireClientCert" => Some(Self::RequireAny),
            "VerifyClientCertIfGiven" => Some(Self::VerifyIfGiven),
            "RequireAndVerifyClientCert" => Some(Self::RequireAndVerify),
            _ => None,
        }
    }

    /// Whether nobody connects without a certificate.
    pub(super) fn requires(self) -> bool {
        matches!(self, Self::RequireAny | Self::RequireAndVerify)
    }

    /// Whether a certificate has to be one of the client CA.
    pub(super) fn checks(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }
}

/// A name that a client's certificate may have: of a host, an address, a mailbox, a URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum San {
    Address(IpAddr),
    Text(String),
}

impl San {
    pub(super) fn new(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Text(text.to_owned()), Self::Address)
    }

    fn of(name: &GeneralName) -> Option<Self> {
        match name {
            GeneralName::DnsName(text)
            | GeneralName::Rfc822Name(text)
            | GeneralName::UniformResourceIdentifier(text) => Some(Self::Text(text.as_str().to_owned())),
            GeneralName::IpAddress(octets) => {
                let octets = octets.as_bytes();
                let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
                v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok().map(Self::Address)
            }
            _ => None,
        }
    }
}

/// Checks the certificates of clients.
#[derive(Debug)]
pub(super) struct Clients {
    policy: Policy,
    /// Checks that a certificate is one of the client CA, where that is asked.
    chain: Option<Arc<dyn ClientCertVerifier>>,
    sans: Vec<San>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Clients {
    /// Checks them by this policy, `authorities` and `sans`.
    ///
    /// # Errors
    /// When there is no authority to check by, where the policy wants that.
    pub(super) fn new(
        policy: Policy,
        authorities: RootCertStore,
        sans: Vec<San>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let chain = policy.checks().then(|| {
            let chain = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(provider));
            chain.build().map_err(|error| error.to_string())
        });
        let algorithms = provider.signature_verification_algorithms;
        Ok(Self { policy, chain: chain.transpose()?, sans, algorithms })
    }

    fn is_named(&self, certificate: &CertificateDer<'_>) -> bool {
        let names = x509_cert::Certificate::from_der(certificate).ok().and_then(|certificate| {
            let names = certificate.tbs_certificate().get_extension::<SubjectAltName>();
            names.ok().flatten().map(|(_, SubjectAltName(names))| names)
        });
        names.unwrap_or_default().iter().filter_map(San::of).any(|name| self.sans.contains(&name))
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.policy.requires()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.as_ref().map_or(&[], |chain| chain.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(chain) = &self.chain {
            chain.verify_client_cert(end_entity, intermediates, now)?;
        }
        if !self.sans.is_empty() && !self.is_named(end_entity) {
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
