//! One request to a web server, for alerts: a connection of its own, HTTP/1.1, and TLS by the
//! system's authorities where the address is https.
//!
//! It follows no redirects, uses no proxy, and keeps of the answer no more than the status and the
//! beginning of the text: that is all a notice needs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long a request may take in all.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// The octets of an answer that are read at most.
const OCTETS_MAX: u64 = 8192;

/// Where the systems keep the authorities that they trust.
const AUTHORITIES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The address: http or https, with what may stand in it: user, password and port.
    pub url: String,
    /// Headers beside those that every request has.
    pub headers: Vec<(&'static str, String)>,
    /// What is posted, as JSON; the address is fetched where it is `None`.
    pub json: Option<String>,
    /// The authorities that are trusted in the place of the system's.
    pub ca_file: Option<PathBuf>,
}

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is none.
    #[error("its url is not an address such as \"https://alerts.example/hook\"")]
    Address,
    /// There is no connection, or it broke.
    #[error("{0}")]
    Connection(#[from] io::Error),
    /// It took too long.
    #[error("no answer within {} s", ANSWER_MAX.as_secs())]
    Silent,
    /// What came is no answer.
    #[error("the answer is not HTTP")]
    Foreign,
    /// The server says no.
    #[error("the server answered with status {status}")]
    Refused {
        /// The status.
        status: u16,
    },
    /// No authority is known.
    #[error("no certificates of authorities are found at {0}")]
    NoAuthorities(String),
}

/// Sends `request`; done where the server took it.
///
/// # Errors
///
/// Where it did not.
pub async fn send(request: &Request) -> Result<(), HttpError> {
    let address = Address::parse(&request.url)?;
    let text = address.text(request);
    let exchange = async {
        let stream = TcpStream::connect((address.host, address.port)).await?;
        if !address.is_secure {
            return exchange(stream, &text).await;
        }
        let name = ServerName::try_from(address.host.to_owned());
        let name = name.map_err(|_| HttpError::Address)?;
        let config = Arc::new(trusting(request.ca_file.as_deref())?);
        exchange(TlsConnector::from(config).connect(name, stream).await?, &text).await
    };
    timeout(ANSWER_MAX, exchange).await.unwrap_or(Err(HttpError::Silent))
}

/// An address, in its parts.
#[derive(Debug, Eq, PartialEq)]
struct Address<'a> {
    is_secure: bool,
    user: Option<&'a str>,
    host: &'a str,
    port: u16,
    path: &'a str,
}

impl<'a> Address<'a> {
    fn parse(url: &'a str) -> Result<Self, HttpError> {
        // The address may have a secret in it, and is not repeated.
        let wrong = || HttpError::Address;
        let (is_secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(wrong()),
        };
        let rest = rest.split('#').next().unwrap_or(rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (ends, path) = rest.split_at(end);
        let (user, ends) = match ends.rsplit_once('@') {
            Some((user, ends)) => (Some(user), ends),
            None => (None, ends),
        };
        let usual = if is_secure { 443 } else { 80 };
        let (host, port) = match ends.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| wrong())?)
            }
            _ => (ends, usual),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_plain = url.chars().all(|c| c.is_ascii_graphic());
        if host.is_empty() || !is_plain {
            return Err(wrong());
        }
        Ok(Self { is_secure, user, host, port, path })
    }

    /// The request as it is sent.
    fn text(&self, request: &Request) -> String {
        let method = if request.json.is_some() { "POST" } else { "GET" };
        let slash = if self.path.starts_with('/') { "" } else { "/" };
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.into() };
        let mut text = format!(
            "{method} {slash}{} HTTP/1.1\r\nHost: {host}:{}\r\nConnection: close\r\n\
             User-Agent: linkqual/{}\r\n",
            self.path,
            self.port,
            env!("CARGO_PKG_VERSION")
        );
        if let Some(user) = self.user {
            text += &format!("Authorization: Basic {}\r\n", STANDARD.encode(user));
        }
        for (name, value) in &request.headers {
            text += &format!("{name}: {value}\r\n");
        }
        let json = request.json.as_deref().unwrap_or_default();
        if request.json.is_some() {
            let length = json.len();
            text += &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
        }
        text + "\r\n" + json
    }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    text: &str,
) -> Result<(), HttpError> {
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await?;
    let mut stream = stream.take(OCTETS_MAX);
    let mut answer = Vec::new();
    // Up to the end of its header: a server that keeps the connection open has answered then.
    let mut read = Ok(1);
    while !answer.windows(4).any(|octets| octets == b"\r\n\r\n") && matches!(read, Ok(1..)) {
        read = stream.read_buf(&mut answer).await;
    }
    // Many a server closes without the end of TLS: what came before is the answer.
    if answer.is_empty() {
        read?;
    }
    let answer = String::from_utf8_lossy(&answer);
    match status(&answer).ok_or(HttpError::Foreign)? {
        200..300 => Ok(()),
        // What it says besides may repeat the request, and with it its secrets.
        status => Err(HttpError::Refused { status }),
    }
}

/// The status in an answer's first line, such as "HTTP/1.1 200 OK".
fn status(answer: &str) -> Option<u16> {
    let line = answer.strip_prefix("HTTP/1.")?;
    let status = line.get(1..)?.strip_prefix(' ')?.get(..3)?;
    status.parse().ok().filter(|status| (100..600).contains(status))
}

/// TLS that trusts the authorities of `file`, or of the system.
fn trusting(file: Option<&Path>) -> Result<ClientConfig, HttpError> {
    let usual = || AUTHORITIES.iter().map(PathBuf::from).find(|path| path.exists());
    let path = file.map(Path::to_owned).or_else(usual);
    let path = path.ok_or_else(|| HttpError::NoAuthorities(AUTHORITIES.join(", ")))?;
    let none = || HttpError::NoAuthorities(path.display().to_string());
    let text = std::fs::read(&path).map_err(|_| none())?;
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok);
    let (taken, _) = roots.add_parsable_certificates(certificates);
    if taken == 0 {
        return Err(none());
    }
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(ring).with_safe_default_protocol_versions();
    let config = config.map_err(|error| io::Error::other(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[track_caller]
    fn check(url: &str, expected: (bool, Option<&str>, &str, u16, &str)) {
        let (is_secure, user, host, port, path) = expected;
        let address = Address::parse(url).expect("an address");
        assert_eq!(address, Address { is_secure, user, host, port, path });
    }

    #[test]
    fn an_address_is_taken_apart() {
        check("http://a", (false, None, "a", 80, ""));
        check("https://a.example/x?y=1#z", (true, None, "a.example", 443, "/x?y=1"));
        check("http://u:p@10.0.0.1:9093/", (false, Some("u:p"), "10.0.0.1", 9093, "/"));
        check("http://[2001:db8::1]:81/a", (false, None, "2001:db8::1", 81, "/a"));
        check("http://[::1]", (false, None, "::1", 80, ""));
        for wrong in ["ftp://a", "http://", "http://:80", "http://a:b", "http://a/\r\nX: y", "a"] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_status_is_read_and_nothing_else_is() {
        assert_eq!(status("HTTP/1.1 200 OK\r\n"), Some(200));
        assert_eq!(status("HTTP/1.0 404"), Some(404));
        for wrong in ["", "HTTP/1.1 20", "HTTP/2 200", "HTTP/1.1 999 x", "SSH-2.0"] {
            assert_eq!(status(wrong), None, "{wrong}");
        }
    }

    /// What a server reads of `request`, and what the client makes of `answer`.
    fn asked(answer: &'static str, request: Request) -> (String, Result<(), HttpError>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let server = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let url = format!("http://u:p@{}/api", server.local_addr().expect("an address"));
            let serve = async {
                let (mut stream, _) = server.accept().await.expect("a client");
                let mut read = vec![0xa5; 4096];
                let length = stream.read(&mut read).await.expect("a request");
                stream.write_all(answer.as_bytes()).await.expect("a client that reads");
                String::from_utf8_lossy(&read[..length]).into_owned()
            };
            let request = Request { url, ..request };
            tokio::join!(serve, send(&request))
        })
    }

    #[test]
    fn what_a_server_takes_is_sent_and_what_it_refuses_is_said() {
        let request = Request {
            headers: vec![("X-Test", "1".to_owned())],
            json: Some("[]".to_owned()),
            ..Request::default()
        };
        let (read, sent) = asked("HTTP/1.1 200 OK\r\n\r\n", request.clone());
        assert!(sent.is_ok(), "{sent:?}");
        assert!(read.starts_with("POST /api HTTP/1.1\r\nHost: 127.0.0.1:"), "{read}");
        for part in ["Authorization: Basic dTpw\r\n", "X-Test: 1\r\n", "Length: 2\r\n\r\n[]"] {
            assert!(read.contains(part), "{part}: {read}");
        }
        let (_, sent) =
            asked("HTTP/1.1 400 Bad Request\r\nA: b\r\n\r\nno such receiver\n", request);
        let why = sent.expect_err("a refusal").to_string();
        assert_eq!(why, "the server answered with status 400");
        let (read, sent) = asked("SSH-2.0-x\r\n", Request::default());
        assert!(read.starts_with("GET /api"), "{read}");
        assert!(matches!(sent, Err(HttpError::Foreign)));
    }
}
