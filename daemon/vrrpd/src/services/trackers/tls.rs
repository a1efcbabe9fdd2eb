//! TLS for the probes: connections that verify the server by trusted CA certificates.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls_native_certs::load_native_certs;
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use vrrp_config::{Host, Trust};

use super::known::Known;
use super::time_limit::TimeLimit;

/// Trusted certificates, read from files and shared by all trackers. The files are read again every
/// minute, and sooner after a server was rejected.
#[derive(Default)]
pub(super) struct Tls {
    clients: Mutex<BTreeMap<Trust, Client>>,
}

/// Client configuration, once its files are read.
type Client = Arc<tokio::sync::Mutex<Known<Arc<ClientConfig>>>>;

impl Tls {
    /// Performs the handshake on `stream`, connected to `place`, and verifies that the server is
    /// `host`.
    pub(super) async fn connect(
        &self,
        trust: &Trust,
        host: &Host,
        (stream, place): (TcpStream, SocketAddr),
        time_limit: &TimeLimit,
    ) -> Result<TlsStream<TcpStream>, String> {
        let name = match host {
            Host::Address(address) => ServerName::from(*address),
            Host::Name(name) => ServerName::try_from(name.trim_end_matches('.').to_owned())
                .map_err(|_| format!("{name} is not a valid name in a certificate"))?,
        };
        let client = self.client(trust);
        let config = {
            let mut client = client.lock().await;
            let what = "the CA certificates were not read";
            let read = || read(trust.clone());
            Arc::clone(client.get(time_limit, what, read).await?)
        };
        let connecting = TlsConnector::from(config).connect(name.clone(), stream);
        let connected = time_limit.wait(connecting, || format!("no TLS handshake with {place}"));
        match connected.await? {
            Ok(stream) => Ok(stream),
            Err(error) => {
                client.lock().await.doubt();
                let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
                Err(match cause {
                    Some(Error::InvalidCertificate(wrong)) => {
                        distrust(wrong, place, &name.to_str(), trust)
                    }
                    Some(_) | None => format!("TLS handshake with {place} failed: {error}"),
                })
            }
        }
    }

    fn client(&self, trust: &Trust) -> Client {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = || Arc::new(tokio::sync::Mutex::new(Known::nothing()));
        Arc::clone(clients.entry(trust.clone()).or_insert_with(nothing))
    }
}

/// Message about a rejected certificate.
fn distrust(wrong: &CertificateError, place: SocketAddr, name: &str, trust: &Trust) -> String {
    use CertificateError as Wrong;

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "rustls describes all other errors"
    )]
    let what = match wrong {
        Wrong::Expired | Wrong::ExpiredContext { .. } => "has expired".to_owned(),
        Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => "is not valid yet".to_owned(),
        Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
            format!("is not valid for {name}")
        }
        Wrong::UnknownIssuer => match trust {
            Trust::File(file) => format!("is not signed by a CA in {}", file.display()),
            Trust::System | Trust::All => "is not signed by a trusted CA".to_owned(),
        },
        other => format!("is invalid: {other}"),
    };
    format!("the certificate of {place} {what}")
}

/// Reads the trusted certificates on another thread.
async fn read(trust: Trust) -> Result<Arc<ClientConfig>, String> {
    let read = spawn_blocking(move || client_of(&trust)).await;
    read.map_err(|error| error.to_string())?
}

fn client_of(trust: &Trust) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match trust {
        Trust::System => builder.with_root_certificates(roots_of_this_host()?),
        Trust::File(file) => builder.with_root_certificates(roots_in(file)?),
        Trust::All => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider))),
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A resumed session transfers no certificate, but its validity is part of the verdict.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn roots_of_this_host() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let found = load_native_certs();
    roots.add_parsable_certificates(found.certs);
    match (roots.is_empty(), found.errors.first()) {
        (false, _) => Ok(roots),
        (true, Some(error)) => Err(format!(
            "cannot read the CA certificates of this host: {error}"
        )),
        (true, None) => Err(
            "this host has no CA certificates: install them (ca-certificates), or set \"caFile\""
                .to_owned(),
        ),
    }
}

fn roots_in(file: &Path) -> Result<RootCertStore, String> {
    let unreadable = |error| format!("cannot read {}: {error}", file.display());
    let bytes = std::fs::read(file).map_err(unreadable)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let useless = || format!("{} contains an invalid PEM certificate", file.display());
        let certificate = certificate.map_err(|_| useless())?;
        roots.add(certificate).map_err(|_| useless())?;
    }
    if roots.is_empty() {
        return Err(format!("{} contains no certificate", file.display()));
    }
    Ok(roots)
}

/// Accepts any certificate, if the server has its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
