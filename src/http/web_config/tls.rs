//! How a connection is made safe: certificates, versions, cipher suites and curves, and from them what rustls needs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{NamedGroup, RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion, version};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest, Sha256};
use tokio::fs;
use tokio::io::AsyncReadExt;

use super::clients::{Clients, Policy, San};

/// Largest file that is read, in bytes: a chain of certificates has some thousand.
pub(super) const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// What the file says of TLS.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) cert: Pem,
    pub(super) key: Pem,
    pub(super) client_ca: Option<Pem>,
    pub(super) policy: Policy,
    pub(super) sans: Vec<San>,
    pub(super) min: Version,
    pub(super) max: Version,
    /// Those that may be used; all where none is named.
    pub(super) suites: Option<Vec<SupportedCipherSuite>>,
    /// Those that may be used, the best first; all where none is named.
    pub(super) curves: Option<Vec<&'static dyn SupportedKxGroup>>,
    /// Whether the order of the server's cipher suites counts, and not that of the client's.
    pub(super) prefers_own_suites: bool,
}

/// PEM, or the file that has it.
#[derive(Debug)]
pub(super) enum Pem {
    Inline(SecretString),
    File(PathBuf),
}

/// A version of TLS, the older first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Version {
    Tls12,
    Tls13,
}

impl Version {
    pub(super) fn named(name: &str) -> Result<Self, String> {
        match name {
            "TLS12" => Ok(Self::Tls12),
            "TLS13" => Ok(Self::Tls13),
            "TLS10" | "TLS11" => Err(format!("{name} is not spoken here; expected TLS12 or TLS13")),
            _ => Err("expected TLS12 or TLS13".to_owned()),
        }
    }
}

/// The cipher suite that Go calls so, which is also how the standard calls it.
pub(super) fn cipher_suite(name: &str) -> Result<SupportedCipherSuite, String> {
    // The standard has `TLS_AES…` where rustls has `TLS13_AES…`, since it means the version as well.
    let known = aws_lc_rs::ALL_CIPHER_SUITES.iter().find(|suite| {
        let standard = format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1);
        standard == name
    });
    known.copied().ok_or_else(|| {
        let why =
            if name.contains("_CBC_") || name.starts_with("TLS_RSA_") { "is not spoken here" } else { "is not known" };
        format!(
            "the cipher suite `{name}` {why}; expected one with ECDHE and GCM or CHACHA20, by its name in the standard"
        )
    })
}

/// The curve that Go calls so.
pub(super) fn curve(name: &str) -> Result<&'static dyn SupportedKxGroup, String> {
    let group = match name {
        "X25519" => Some(NamedGroup::X25519),
        "CurveP256" => Some(NamedGroup::secp256r1),
        "CurveP384" => Some(NamedGroup::secp384r1),
        "X25519MLKEM768" => Some(NamedGroup::X25519MLKEM768),
        _ => None,
    };
    let known = group.and_then(|group| aws_lc_rs::ALL_KX_GROUPS.iter().find(|known| known.name() == group));
    known.copied().ok_or_else(|| {
        let why = if name == "CurveP521" { "is not spoken here" } else { "is not known" };
        format!("the curve `{name}` {why}; expected X25519MLKEM768, X25519, CurveP256 or CurveP384")
    })
}

/// Certificates and keys, as they are now.
#[derive(Debug)]
pub(super) struct Material {
    cert: SecretSlice<u8>,
    key: SecretSlice<u8>,
    client_ca: Option<SecretSlice<u8>>,
}

impl Material {
    /// A number that tells it from other material.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for part in [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()].into_iter().flatten() {
            digest.update(part.expose_secret().len().to_le_bytes());
            digest.update(part.expose_secret());
        }
        digest.finalize().into()
    }
}

impl Tls {
    /// Reads the files that are named.
    ///
    /// # Errors
    /// When one cannot be read; says which and why.
    pub(super) async fn material(&self) -> Result<Material, String> {
        let client_ca = match &self.client_ca {
            Some(pem) => Some(pem.read().await?),
            None => None,
        };
        Ok(Material { cert: self.cert.read().await?, key: self.key.read().await?, client_ca })
    }

    /// Makes of it what a handshake needs.
    ///
    /// # Errors
    /// When the material is not what it should be, or its parts do not go together.
    pub(super) fn server(&self, material: &Material, http2: bool) -> Result<ServerConfig, String> {
        let provider = Arc::new(self.provider());
        let versions: Vec<&'static SupportedProtocolVersion> =
            [(Version::Tls13, &version::TLS13), (Version::Tls12, &version::TLS12)]
                .into_iter()
                .filter(|(version, _)| (self.min..=self.max).contains(version))
                .map(|(_, version)| version)
                .collect();
        let cert = certificates(&material.cert, &self.cert)?;
        let key = PrivateKeyDer::from_pem_slice(material.key.expose_secret())
            .map_err(|_| format!("{} has no private key in PEM", self.key.place()))?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(|error| format!("the versions and cipher suites do not go together: {error}"))?;
        let builder = match self.policy {
            Policy::None => builder.with_no_client_auth(),
            policy => {
                let mut authorities = RootCertStore::empty();
                if let (Some(material), Some(pem)) = (&material.client_ca, &self.client_ca) {
                    for authority in certificates(material, pem)? {
                        authorities.add(authority).map_err(|error| format!("{}: {error}", pem.place()))?;
                    }
                }
                let clients = Clients::new(policy, authorities, self.sans.clone(), &provider)?;
                builder.with_client_cert_verifier(Arc::new(clients))
            }
        };
        let mut server = builder
            .with_single_cert(cert, key)
            .map_err(|error| format!("{} and {} do not go together: {error}", self.cert.place(), self.key.place()))?;
        server.ignore_client_order = self.prefers_own_suites;
        server.alpn_protocols =
            if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
        Ok(server)
    }

    fn provider(&self) -> CryptoProvider {
        let mut provider = aws_lc_rs::default_provider();
        if let Some(suites) = &self.suites {
            // As in Go, those of TLS 1.3 cannot be chosen: all of them are good.
            provider.cipher_suites.retain(|suite| suite.tls13().is_some() || suites.contains(suite));
            let place = |suite: &SupportedCipherSuite| suites.iter().position(|known| known == suite);
            provider.cipher_suites.sort_by_key(|suite| (suite.tls13().is_none(), place(suite)));
        }
        if let Some(curves) = &self.curves {
            provider.kx_groups.clone_from(curves);
        }
        provider
    }
}

fn certificates(pem: &SecretSlice<u8>, place: &Pem) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.expose_secret()).collect();
    let certificates = certificates.map_err(|_| format!("{} is no PEM", place.place()))?;
    if certificates.is_empty() { Err(format!("{} has no certificate in PEM", place.place())) } else { Ok(certificates) }
}

impl Pem {
    async fn read(&self) -> Result<SecretSlice<u8>, String> {
        match self {
            Self::Inline(text) => Ok(text.expose_secret().as_bytes().to_vec().into()),
            Self::File(path) => {
                let bytes = read(path).await.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
                Ok(bytes.into())
            }
        }
    }

    fn place(&self) -> String {
        match self {
            Self::Inline(_) => "what stands in the file itself".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

/// Reads a small file.
///
/// # Errors
/// When it cannot be read, or is larger than any such file. What may keep a reader waiting, as a pipe does, is not read.
pub(super) async fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path).await?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path).await?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it has more than {MAX_FILE_BYTES} bytes")));
    }
    Ok(bytes)
}
