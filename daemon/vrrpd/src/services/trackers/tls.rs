//! Whom servers may be, where they have to prove it: TLS with the certificates of whom is trusted.

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

/// Who is trusted, read from files and shared by all trackers. Files are read again every minute, and
/// soon when a server was not believed.
#[derive(Default)]
pub(super) struct Tls {
    clients: Mutex<BTreeMap<Trust, Client>>,
}

/// What a connection begins with, once its files are read.
type Client = Arc<tokio::sync::Mutex<Known<Arc<ClientConfig>>>>;

impl Tls {
    /// Has whoever is at the other end of `stream`, which is `place`, prove that it is `host`.
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
                .map_err(|_| format!("{name} can be in no certificate"))?,
        };
        let client = self.client(trust);
        let config = {
            let mut client = client.lock().await;
            let what = "the certificates of whom to trust were not read";
            let read = || read(trust.clone());
            Arc::clone(client.get(time_limit, what, read).await?)
        };
        let connecting = TlsConnector::from(config).connect(name.clone(), stream);
        let connected = time_limit.wait(connecting, || format!("no TLS with {place}"));
        match connected.await? {
            Ok(stream) => Ok(stream),
            Err(error) => {
                client.lock().await.doubt();
                let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
                Err(match cause {
                    Some(Error::InvalidCertificate(wrong)) => {
                        distrust(wrong, place, &name.to_str(), trust)
                    }
                    Some(_) | None => format!("no TLS with {place}: {error}"),
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

/// What is wrong with a certificate.
fn distrust(wrong: &CertificateError, place: SocketAddr, name: &str, trust: &Trust) -> String {
    use CertificateError as Wrong;

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "for all others rustls has words of its own"
    )]
    let what = match wrong {
        Wrong::Expired | Wrong::ExpiredContext { .. } => "has expired".to_owned(),
        Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => "is not valid yet".to_owned(),
        Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
            format!("is not one of {name}")
        }
        Wrong::UnknownIssuer => match trust {
            Trust::File(file) => format!("is from nobody in {}", file.display()),
            Trust::System | Trust::All => "is from nobody whom this host trusts".to_owned(),
        },
        other => format!("is of no use: {other}"),
    };
    format!("the certificate of {place} {what}")
}

/// Reads whom to trust, on another thread.
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
    // Who resumes a session shows no certificate, and whether that is good is what is asked.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn roots_of_this_host() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let found = load_native_certs();
    roots.add_parsable_certificates(found.certs);
    match (roots.is_empty(), found.errors.first()) {
        (false, _) => Ok(roots),
        (true, Some(error)) => Err(format!("whom this host trusts cannot be read: {error}")),
        (true, None) => Err(
            "this host trusts nobody: install its certificates (ca-certificates), or give a \
             \"caFile\""
                .to_owned(),
        ),
    }
}

fn roots_in(file: &Path) -> Result<RootCertStore, String> {
    let unreadable = |error| format!("cannot read {}: {error}", file.display());
    let bytes = std::fs::read(file).map_err(unreadable)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let useless = || {
            format!(
                "{} has no certificate as PEM that is of use",
                file.display()
            )
        };
        let certificate = certificate.map_err(|_| useless())?;
        roots.add(certificate).map_err(|_| useless())?;
    }
    if roots.is_empty() {
        return Err(format!("there is no certificate in {}", file.display()));
    }
    Ok(roots)
}

/// Believes whoever has the key of the certificate that it shows.
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
