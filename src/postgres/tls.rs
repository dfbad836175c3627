//! TLS to the server: one rustls stack, and the verify modes that the driver lacks.
//!
//! Promises: `verify-ca` and `verify-full` never fall back to anything; files are read again at every connect, so that
//! renewed certificates are picked up without a restart.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::target::TlsMode;
use crate::setting::TlsConfig;

/// Why TLS could not be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, unreadable or holds no PEM of the kind.
    #[error("{what} {path:?} cannot be used: {reason}")]
    File {
        /// Which of the files.
        what: &'static str,
        /// Where it should be.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nothing to verify against.
    #[error("the system has no certificate authorities: give one as `database.tls.ca`")]
    NoRoots,
    /// Certificate and key do not fit, or the library refuses them.
    #[error("the TLS settings do not fit together: {0}")]
    Refused(String),
}

/// Checks the chain, and the name only in `verify-full`; without roots, nothing but the handshake's signature.
#[derive(Debug)]
struct Verifier {
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates of the CA file: a self-signed server certificate may be its own authority, which webpki refuses.
    pinned: Vec<CertificateDer<'static>>,
    name_matters: bool,
    provider: Arc<CryptoProvider>,
}

/// A connector for these settings. Reads the files, makes no connection.
pub(super) fn connector(mode: TlsMode, files: &TlsConfig) -> Result<MakeRustlsConnect, TlsError> {
    client_config(mode, files).map(MakeRustlsConnect::new)
}

fn client_config(mode: TlsMode, files: &TlsConfig) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = verifier(mode, files, &provider)?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Refused(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(match (&files.certificate, &files.key) {
        (Some(certificate), Some(key)) => builder
            .with_client_auth_cert(certificates("the client certificate", certificate)?, private_key(key)?)
            .map_err(|error| TlsError::Refused(error.to_string()))?,
        _ => builder.with_no_client_auth(),
    })
}

fn verifier(mode: TlsMode, files: &TlsConfig, provider: &Arc<CryptoProvider>) -> Result<Verifier, TlsError> {
    let name_matters = mode == TlsMode::VerifyFull;
    if !mode.verifies() {
        return Ok(Verifier {
            chain: None,
            pinned: Vec::new(),
            name_matters,
            provider: Arc::clone(provider),
        });
    }
    let pinned = files
        .ca
        .as_deref()
        .map(|ca| certificates("the CA file", ca))
        .transpose()?
        .unwrap_or_default();
    let trusted = if files.ca.is_some() {
        pinned.clone()
    } else {
        rustls_native_certs::load_native_certs().certs
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted);
    if roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|error| TlsError::Refused(error.to_string()))?;
    Ok(Verifier {
        chain: Some(chain),
        pinned,
        name_matters,
        provider: Arc::clone(provider),
    })
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |reason: String| TlsError::File {
        what,
        path: path.display().to_string(),
        reason,
    };
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let read = read.map_err(|error| failed(error.to_string()))?;
    if read.is_empty() {
        Err(failed("it holds no CERTIFICATE in PEM".to_owned()))
    } else {
        Ok(read)
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| TlsError::File {
        what: "the client key",
        path: path.display().to_string(),
        reason: error.to_string(),
    })
}

// === impl Verifier ===

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        if self.pinned.iter().any(|trusted| trusted == end_entity) {
            if self.name_matters {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(error)) if !self.name_matters && speaks_of_the_name(&error) => {
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// webpki checks the name last: everything else was in order when it says this.
fn speaks_of_the_name(error: &CertificateError) -> bool {
    matches!(
        error,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
    )
}

#[cfg(test)]
mod tests;
