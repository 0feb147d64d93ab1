//! The control channel: TLS 1.3 in which each end is known by its raw public key (RFC 7250).
//!
//! Either program may dial, so the two sides are [`Connector`] and [`Acceptor`], not driver and
//! agent. Certificates, names, expiry, earlier versions, resumption and 0-RTT are never spoken.
//!
//! In TLS 1.3 the connector's handshake is over before the acceptor has judged its key: a refusal
//! arrives as an alert at the connector's first read, and [`is_refusal`] distinguishes it from
//! other ends.

use crate::io::key::key_pair;
use crate::wire::key::{MalformedKey, PublicKey, SecretKey};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct,
    DistinguishedName, Error, OtherError, PeerIncompatible, ServerConfig, SignatureScheme,
    WantsVerifier,
    client::{
        AlwaysResolvesClientRawPublicKeys, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::{
        AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
    version::TLS13,
};
use std::{collections::BTreeSet, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

pub use tokio_rustls::TlsStream;

/// How long a refused peer is given to read why.
pub const LINGER: Duration = Duration::from_secs(1);

/// Octets of a refused peer that are read and dropped meanwhile.
const LINGER_OCTETS_MAX: u64 = 64 << 10;

/// Who this program is: a secret key that can sign, and its public key.
#[derive(Clone, Debug)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    public_key: PublicKey,
}

impl Identity {
    /// The identity of `secret`.
    #[must_use]
    pub fn new(secret: &SecretKey) -> Self {
        let (signing, public_key) = key_pair(secret);
        // In the place of a certificate chain stands the SPKI, alone (RFC 7250, section 3).
        let spki = CertificateDer::from(public_key.to_spki().to_vec());
        let certified = Arc::new(CertifiedKey::new(vec![spki], signing));
        Self { certified, public_key }
    }

    /// What others know this program by.
    #[must_use]
    pub const fn public_key(&self) -> PublicKey {
        self.public_key
    }
}

/// The end that dials: it knows whom it expects.
#[derive(Clone, Debug)]
pub struct Connector {
    config: Arc<ClientConfig>,
    own: PublicKey,
}

impl Connector {
    /// Speaks as `identity`, and only with the owner of `expected`.
    #[must_use]
    pub fn new(identity: &Identity, expected: PublicKey) -> Self {
        Self::trusting(identity, Trust::Pinned(expected))
    }

    /// Shakes hands as `identity` with whoever answers, to learn its key ([`presented`]): nothing
    /// may be said to it.
    #[must_use]
    pub fn to_anyone(identity: &Identity) -> Self {
        Self::trusting(identity, Trust::Anyone)
    }

    fn trusting(identity: &Identity, trust: Trust) -> Self {
        let certified = Arc::clone(&identity.certified);
        let mut config = client_builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(trust))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified)));
        config.enable_sni = false;
        config.resumption = Resumption::disabled();
        Self { config: Arc::new(config), own: identity.public_key }
    }

    /// Shakes hands over `stream` within `limit`.
    ///
    /// The other end has then proven its key, but has not yet judged this end's: until its first
    /// message has come, ask [`is_refusal`] of each error.
    ///
    /// # Errors
    ///
    /// The other end has another key, or speaks something else, or the stream ended or stalled.
    pub async fn connect<S>(&self, stream: S, limit: Duration) -> Result<TlsStream<S>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let handshake = connector.connect(server_name(), stream);
        match timeout(limit, handshake).await {
            Ok(Ok(stream)) => Ok(stream.into()),
            Ok(Err(err)) => Err(TlsError::of_handshake(err, self.own)),
            Err(_) => Err(TlsError::TimedOut { limit }),
        }
    }
}

/// The end that is dialled: it knows whom it admits.
#[derive(Clone, Debug)]
pub struct Acceptor {
    config: Arc<ServerConfig>,
    own: PublicKey,
}

impl Acceptor {
    /// Speaks as `identity`, and only with the owners of `listed`. A list that changes is a new
    /// acceptor; connections of the old one go on.
    #[must_use]
    pub fn new(identity: &Identity, listed: impl IntoIterator<Item = PublicKey>) -> Self {
        let certified = Arc::clone(&identity.certified);
        let trust = Trust::Listed(listed.into_iter().collect());
        let mut config = server_builder()
            .with_client_cert_verifier(Arc::new(trust))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(certified)));
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Self { config: Arc::new(config), own: identity.public_key }
    }

    /// Shakes hands over `stream` within `limit`; returns who the other end is, proven. A peer that
    /// is refused is sent the reason, which takes up to [`LINGER`] more.
    ///
    /// # Errors
    ///
    /// The other end's key is not listed, or it has none, or speaks something else, or the stream
    /// ended or stalled.
    pub async fn accept<S>(
        &self,
        stream: S,
        limit: Duration,
    ) -> Result<(TlsStream<S>, PublicKey), TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = TlsAcceptor::from(Arc::clone(&self.config)).accept(stream);
        let stream = match timeout(limit, handshake.into_fallible()).await {
            Ok(Ok(stream)) => stream,
            Ok(Err((err, stream))) => {
                linger(stream).await;
                return Err(TlsError::of_handshake(err, self.own));
            }
            Err(_) => return Err(TlsError::TimedOut { limit }),
        };
        let stream = stream.into();
        let who = presented(&stream)?;
        Ok((stream, who))
    }
}

/// The other end's key, which it has proven to be its own.
///
/// # Errors
///
/// It has none, or one that is not read here.
pub fn presented<S>(stream: &TlsStream<S>) -> Result<PublicKey, TlsError> {
    let presented = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    PublicKey::from_spki(presented.ok_or(TlsError::NoKey)?)
        .map_err(|source| TlsError::Malformed { source })
}

/// Says that nothing more comes, then reads and drops until the other end has closed.
///
/// A socket that is closed before the other end's octets are read is reset (RFC 1122, section
/// 4.2.2.13): the other end's next write fails, and an alert still on its way is lost. A connector
/// that speaks before it reads would never learn that its key was refused.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let drain = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(LINGER_OCTETS_MAX), &mut tokio::io::sink()).await
    };
    // The peer is refused however its stream ends.
    let _ = timeout(LINGER, drain).await;
}

/// Whether `err`, from reading a connector's stream, is the other end's refusal of this end's key.
#[must_use]
pub fn is_refusal(err: &io::Error) -> bool {
    matches!(tls_error(err), Some(Error::AlertReceived(alert)) if refuses_key(*alert))
}

/// The alerts about a certificate (RFC 8446, section 6.2). Our acceptor sends
/// `certificate_unknown` to a key that it does not list.
const fn refuses_key(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
    )
}

fn tls_error(err: &io::Error) -> Option<&Error> {
    err.get_ref()?.downcast_ref()
}

fn client_builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13])
        .expect("ring speaks TLS 1.3")
}

fn server_builder() -> ConfigBuilder<ServerConfig, WantsVerifier> {
    ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13])
        .expect("ring speaks TLS 1.3")
}

fn provider() -> CryptoProvider {
    ring::default_provider()
}

/// What rustls wants a server to be called; never sent.
fn server_name() -> ServerName<'static> {
    ServerName::try_from("linkqual.invalid").expect("a name that RFC 6761 allows")
}

/// Whose key is taken.
#[derive(Debug)]
enum Trust {
    Pinned(PublicKey),
    Listed(BTreeSet<PublicKey>),
    /// Whoever proves to own the key that it presents.
    Anyone,
}

impl Trust {
    fn judge(&self, spki: &CertificateDer<'_>) -> Result<(), Distrust> {
        let got = PublicKey::from_spki(spki).map_err(Distrust::Malformed)?;
        match self {
            Self::Pinned(expected) if *expected == got => Ok(()),
            Self::Pinned(expected) => Err(Distrust::Unexpected { expected: *expected, got }),
            Self::Listed(keys) if keys.contains(&got) => Ok(()),
            Self::Listed(_) => Err(Distrust::Unlisted { got }),
            Self::Anyone => Ok(()),
        }
    }
}

/// Why a key is not taken; travels through rustls as the cause of a `CertificateError`.
#[derive(Clone, Debug, thiserror::Error)]
enum Distrust {
    #[error("{got} is presented, {expected} is expected")]
    Unexpected { expected: PublicKey, got: PublicKey },
    #[error("{got} is not listed")]
    Unlisted { got: PublicKey },
    #[error(transparent)]
    Malformed(MalformedKey),
}

impl From<Distrust> for Error {
    fn from(distrust: Distrust) -> Self {
        CertificateError::Other(OtherError(Arc::new(distrust))).into()
    }
}

fn distrust(err: &CertificateError) -> Option<&Distrust> {
    match err {
        CertificateError::Other(OtherError(cause)) => cause.downcast_ref(),
        _ => None,
    }
}

/// What rustls asks of both verifiers in the same words: only raw keys, only TLS 1.3, only Ed25519.
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _cert: &CertificateDer<'_>,
            _dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            refuse_tls12()
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify(message, cert, dss)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }

        fn requires_raw_public_keys(&self) -> bool {
            true
        }
    };
}

fn verify(
    message: &[u8],
    spki: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let spki = SubjectPublicKeyInfoDer::from(spki.as_ref());
    let algorithms = provider().signature_verification_algorithms;
    verify_tls13_signature_with_raw_key(message, &spki, signature, &algorithms)
}

/// rustls asks for it by signature; never called, for TLS 1.2 is never offered.
fn refuse_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into())
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    signatures!();
}

impl ClientCertVerifier for Trust {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    signatures!();
}

/// Why no control channel came to be. The address is the caller's to add.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Someone else answers than was dialled.
    #[error(
        "the other end's key is {got}, but {expected} is expected. If it is the right host and its \
         key was replaced on purpose, have it trusted (linkqual trust HOST --replace), or give \
         this program the new FILE.pub"
    )]
    Unexpected {
        /// The key that was to be presented.
        expected: PublicKey,
        /// The key that was presented.
        got: PublicKey,
    },
    /// Someone dials who is not admitted.
    #[error("key {got} is not listed here. To admit it, list the line of its FILE.pub")]
    Unlisted {
        /// The key that was presented.
        got: PublicKey,
    },
    /// The other end speaks TLS and presents no key.
    #[error("the other end presents no key. Is it linkqual?")]
    NoKey,
    /// The other end presents something that is no key of linkqual.
    #[error("the other end's key cannot be read: {source}")]
    Malformed {
        /// What is wrong with it.
        source: MalformedKey,
    },
    /// The other end presents the right key and does not sign with it: it may be an impostor.
    #[error("the other end does not prove that it owns the key it presents: {source}")]
    Unproven {
        /// What is wrong with its signature.
        source: Error,
    },
    /// The other end does not take this end's key.
    #[error(
        "the other end does not accept this program's key, {own}. Have its operator list it, or \
         give it there as the expected key"
    )]
    Refused {
        /// This end's key.
        own: PublicKey,
    },
    /// Not TLS 1.3, or not with raw public keys.
    #[error(
        "the other end does not speak linkqual's control protocol, which is TLS 1.3 with raw \
         public keys: {source}. Is it linkqual on this port?"
    )]
    NotSpoken {
        /// The first thing that does not fit.
        source: Error,
    },
    /// The stream ended before the handshake did.
    #[error(
        "the other end closed the connection during the handshake. Is it linkqual on this \
             port?"
    )]
    Closed,
    /// The handshake took too long.
    #[error("no handshake within {limit:?}. Is it linkqual on this port?")]
    TimedOut {
        /// The time it was given.
        limit: Duration,
    },
    /// The stream broke.
    #[error("the connection broke during the handshake: {0}")]
    Io(#[source] io::Error),
}

impl TlsError {
    fn of_handshake(err: io::Error, own: PublicKey) -> Self {
        let Some(source) = tls_error(&err) else {
            return match err.kind() {
                io::ErrorKind::UnexpectedEof => Self::Closed,
                _ => Self::Io(err),
            };
        };
        match source {
            Error::AlertReceived(alert) if refuses_key(*alert) => Self::Refused { own },
            Error::NoCertificatesPresented => Self::NoKey,
            Error::InvalidCertificate(cause) => distrust(cause)
                .map_or_else(|| Self::Unproven { source: source.clone() }, Self::from),
            _ => Self::NotSpoken { source: source.clone() },
        }
    }
}

impl From<&Distrust> for TlsError {
    fn from(distrust: &Distrust) -> Self {
        match distrust.clone() {
            Distrust::Unexpected { expected, got } => Self::Unexpected { expected, got },
            Distrust::Unlisted { got } => Self::Unlisted { got },
            Distrust::Malformed(source) => Self::Malformed { source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::sign::SingleCertAndKey;
    use std::net::Ipv4Addr;
    use tokio::{
        io::{DuplexStream, duplex},
        join,
        net::{TcpListener, TcpStream},
    };

    /// Longer than any handshake on a busy host; no test waits for it.
    const LIMIT: Duration = Duration::from_secs(60);

    fn identity(seed: u8) -> Identity {
        Identity::new(&SecretKey::from_seed([seed; 32]))
    }

    fn driver() -> Identity {
        identity(1)
    }

    fn agent() -> Identity {
        identity(2)
    }

    fn stranger() -> Identity {
        identity(3)
    }

    /// Says it is `victim`, without having its secret key.
    fn impostor(victim: &Identity) -> Identity {
        let certified =
            CertifiedKey::new(victim.certified.cert.clone(), Arc::clone(&stranger().certified.key));
        Identity { certified: Arc::new(certified), public_key: victim.public_key }
    }

    fn to_agent(who: &Identity) -> Connector {
        Connector::new(who, agent().public_key())
    }

    fn for_driver(who: &Identity) -> Acceptor {
        Acceptor::new(who, [driver().public_key()])
    }

    type Connected = Result<TlsStream<DuplexStream>, TlsError>;
    type Accepted = Result<(TlsStream<DuplexStream>, PublicKey), TlsError>;

    /// Both ends at once. The connector's reads once, as if for the first message, then closes.
    async fn shake(connector: &Connector, acceptor: &Acceptor) -> (Connected, io::Error, Accepted) {
        let (near, far) = duplex(4096);
        let dial = async {
            let mut connected = connector.connect(near, LIMIT).await;
            let read = match &mut connected {
                Ok(stream) => stream.read_u8().await.unwrap_err(),
                Err(_) => io::Error::other("not connected"),
            };
            if let Ok(stream) = &mut connected {
                stream.get_mut().0.shutdown().await.unwrap();
            }
            (connected, read)
        };
        let answer = async {
            let mut accepted = acceptor.accept(far, LIMIT).await;
            if let Ok((stream, _)) = &mut accepted {
                stream.shutdown().await.unwrap();
            }
            accepted
        };
        let ((connected, read), accepted) = join!(dial, answer);
        (connected, read, accepted)
    }

    async fn tcp_pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = join!(near, listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    #[tokio::test]
    async fn right_keys_pass_and_each_end_knows_the_other() {
        let (near, far) = tcp_pair().await;
        let (connector, acceptor) = (to_agent(&driver()), for_driver(&agent()));
        let (near, far) = join!(connector.connect(near, LIMIT), acceptor.accept(far, LIMIT));
        let (mut near, (mut far, who)) = (near.unwrap(), far.unwrap());
        assert_eq!(who, driver().public_key());
        let presented = near.get_ref().1.peer_certificates().unwrap();
        assert_eq!(PublicKey::from_spki(&presented[0]), Ok(agent().public_key()));
        assert_eq!(near.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));

        near.write_all(b"who is there").await.unwrap();
        near.flush().await.unwrap();
        let mut heard = [0xa5; 12];
        far.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"who is there");
        far.write_all(b"an agent").await.unwrap();
        far.shutdown().await.unwrap();
        let mut heard = Vec::new();
        near.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"an agent");
    }

    #[tokio::test]
    async fn a_second_connection_is_a_full_handshake() {
        let (connector, acceptor) = (to_agent(&driver()), for_driver(&agent()));
        for _ in 0..2 {
            let (connected, _, accepted) = shake(&connector, &acceptor).await;
            accepted.unwrap();
            let kind = connected.unwrap().get_ref().1.handshake_kind();
            assert_eq!(kind, Some(rustls::HandshakeKind::Full));
        }
    }

    #[tokio::test]
    async fn an_agent_with_another_key_is_refused_and_both_keys_are_shown() {
        let (connected, _, accepted) = shake(&to_agent(&driver()), &for_driver(&stranger())).await;
        let err = connected.unwrap_err();
        assert!(matches!(err, TlsError::Unexpected { expected, got }
            if expected == agent().public_key() && got == stranger().public_key()));
        assert!(err.to_string().contains(&stranger().public_key().fingerprint()));
        assert!(err.to_string().contains(&agent().public_key().fingerprint()));
        assert!(matches!(accepted.unwrap_err(), TlsError::Refused { own }
            if own == stranger().public_key()));
    }

    /// Whether it is admitted or not; an impostor's key is not learnt.
    #[tokio::test]
    async fn whoever_answers_shows_its_key_and_proves_it() {
        for who in [driver(), stranger()] {
            let connector = Connector::to_anyone(&who);
            let (connected, ..) = shake(&connector, &for_driver(&agent())).await;
            assert_eq!(presented(&connected.unwrap()).unwrap(), agent().public_key());
        }
        let pretender = impostor(&agent());
        let connector = Connector::to_anyone(&driver());
        let (connected, ..) = shake(&connector, &for_driver(&pretender)).await;
        assert!(matches!(connected.unwrap_err(), TlsError::Unproven { .. }));
    }

    #[tokio::test]
    async fn a_driver_that_is_not_listed_learns_it_at_its_first_read() {
        let (connected, read, accepted) =
            shake(&to_agent(&stranger()), &for_driver(&agent())).await;
        connected.unwrap();
        assert!(is_refusal(&read), "{read:?}");
        let err = accepted.unwrap_err();
        assert!(matches!(err, TlsError::Unlisted { got } if got == stranger().public_key()));
        assert!(err.to_string().contains(&stranger().public_key().fingerprint()));
    }

    /// Without the acceptor's `linger` the driver's second write meets a reset connection.
    #[tokio::test]
    async fn a_refusal_reaches_a_driver_that_speaks_before_it_reads() {
        let (near, far) = tcp_pair().await;
        let (connector, acceptor) = (to_agent(&stranger()), for_driver(&agent()));
        let dial = async {
            let mut stream = connector.connect(near, LIMIT).await.unwrap();
            stream.get_ref().0.readable().await.unwrap();
            for _ in 0..2 {
                stream.write_all(b"hello").await.unwrap();
                stream.flush().await.unwrap();
            }
            stream.read_u8().await.unwrap_err()
        };
        let answer = async { acceptor.accept(far, LIMIT).await.map(drop) };
        let (err, accepted) = join!(dial, answer);
        assert!(is_refusal(&err), "{err:?}");
        assert!(matches!(accepted.unwrap_err(), TlsError::Unlisted { .. }));
    }

    #[tokio::test]
    async fn other_ends_of_a_connection_are_no_refusal() {
        let (connected, read, accepted) = shake(&to_agent(&driver()), &for_driver(&agent())).await;
        connected.unwrap();
        accepted.unwrap();
        assert_eq!(read.kind(), io::ErrorKind::UnexpectedEof);
        assert!(!is_refusal(&read));
        assert!(!is_refusal(&io::ErrorKind::ConnectionReset.into()));
        for alert in [AlertDescription::InternalError, AlertDescription::HandshakeFailure] {
            assert!(!is_refusal(&io::Error::other(Error::AlertReceived(alert))));
        }
    }

    #[tokio::test]
    async fn a_public_key_without_its_secret_one_is_refused() {
        let pretender = impostor(&driver());
        let (_, read, accepted) = shake(&to_agent(&pretender), &for_driver(&agent())).await;
        assert!(is_refusal(&read), "{read:?}");
        assert!(matches!(accepted.unwrap_err(), TlsError::Unproven { .. }));

        let pretender = impostor(&agent());
        let (connected, _, accepted) = shake(&to_agent(&driver()), &for_driver(&pretender)).await;
        assert!(matches!(connected.unwrap_err(), TlsError::Unproven { .. }));
        accepted.unwrap_err();
    }

    #[tokio::test]
    async fn what_is_no_ed25519_key_is_refused() {
        let mut who = driver();
        let spki = CertificateDer::from(vec![0xa5; 44]);
        let certified = CertifiedKey::new(vec![spki], Arc::clone(&who.certified.key));
        who.certified = Arc::new(certified);
        let (_, read, accepted) = shake(&to_agent(&who), &for_driver(&agent())).await;
        assert!(is_refusal(&read), "{read:?}");
        let expected = MalformedKey::NotEd25519 { len: 44, expected: 44 };
        assert!(
            matches!(accepted.unwrap_err(), TlsError::Malformed { source } if source == expected)
        );
    }

    /// A client of rustls that differs from ours in how it shows its key.
    fn client(resolver: Option<Arc<dyn rustls::client::ResolvesClientCert>>) -> Connector {
        let builder = client_builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trust::Pinned(agent().public_key())));
        let config = match resolver {
            Some(resolver) => builder.with_client_cert_resolver(resolver),
            None => builder.with_no_client_auth(),
        };
        Connector { config: Arc::new(config), own: driver().public_key() }
    }

    /// Has a raw public key by its word, and none when asked for it.
    #[derive(Debug)]
    struct Keyless;

    impl rustls::client::ResolvesClientCert for Keyless {
        fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            None
        }

        fn has_certs(&self) -> bool {
            true
        }

        fn only_raw_public_keys(&self) -> bool {
            true
        }
    }

    #[tokio::test]
    async fn a_client_without_a_key_is_refused() {
        let (connected, _, accepted) = shake(&client(None), &for_driver(&agent())).await;
        connected.unwrap_err();
        assert!(matches!(accepted.unwrap_err(), TlsError::NotSpoken { .. }));

        let keyless = client(Some(Arc::new(Keyless)));
        let (_, read, accepted) = shake(&keyless, &for_driver(&agent())).await;
        assert!(is_refusal(&read), "{read:?}");
        assert!(matches!(accepted.unwrap_err(), TlsError::NoKey));
    }

    fn x509(who: &Identity) -> SingleCertAndKey {
        CertifiedKey::clone(&who.certified).into()
    }

    #[tokio::test]
    async fn a_client_of_type_x509_is_refused() {
        let connector = client(Some(Arc::new(x509(&driver()))));
        let (connected, _, accepted) = shake(&connector, &for_driver(&agent())).await;
        connected.unwrap_err();
        assert!(matches!(
            accepted.unwrap_err(),
            TlsError::NotSpoken {
                source: Error::PeerIncompatible(
                    PeerIncompatible::IncorrectCertificateTypeExtension
                )
            }
        ));
    }

    #[tokio::test]
    async fn a_server_of_type_x509_is_refused() {
        let config = server_builder()
            .with_client_cert_verifier(Arc::new(Trust::Listed([driver().public_key()].into())))
            .with_cert_resolver(Arc::new(x509(&agent())));
        let acceptor = Acceptor { config: Arc::new(config), own: agent().public_key() };
        let (connected, _, accepted) = shake(&to_agent(&driver()), &acceptor).await;
        assert!(matches!(connected.unwrap_err(), TlsError::NotSpoken { .. }));
        accepted.unwrap_err();
    }

    #[tokio::test]
    async fn garbage_in_place_of_tls_is_reported() {
        let greetings: [&[u8]; 3] =
            [b"SSH-2.0-OpenSSH_9.2\r\n", b"GET / HTTP/1.1\r\n\r\n", &[0xa5; 64]];
        for garbage in greetings {
            let (mut near, far) = duplex(4096);
            near.write_all(garbage).await.unwrap();
            let connected = to_agent(&driver()).connect(far, LIMIT).await;
            assert!(matches!(connected.unwrap_err(), TlsError::NotSpoken { .. }));

            let (mut near, far) = duplex(4096);
            near.write_all(garbage).await.unwrap();
            near.shutdown().await.unwrap();
            let accepted = for_driver(&agent()).accept(far, LIMIT).await;
            assert!(matches!(accepted.unwrap_err(), TlsError::NotSpoken { .. }));
        }
    }

    #[tokio::test]
    async fn a_peer_that_closes_or_stalls_is_reported() {
        let (near, far) = duplex(4096);
        drop(near);
        let err = for_driver(&agent()).accept(far, LIMIT).await.unwrap_err();
        assert!(matches!(err, TlsError::Closed));

        let limit = Duration::from_millis(1);
        let (near, far) = duplex(4096);
        let err = for_driver(&agent()).accept(far, limit).await.unwrap_err();
        assert!(err.to_string().starts_with("no handshake within 1ms"), "{err}");
        let err = to_agent(&driver()).connect(near, limit).await.unwrap_err();
        assert!(matches!(err, TlsError::Closed | TlsError::Io(_)), "{err:?}");

        let (near, _far) = duplex(4096);
        let err = to_agent(&driver()).connect(near, limit).await.unwrap_err();
        assert!(matches!(err, TlsError::TimedOut { .. }), "{err:?}");
    }
}
