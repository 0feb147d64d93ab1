//! How alerts reach their receivers: requests to web servers, and programs that are run.

use super::error::Error;
use crate::alerting::{Receiver, Secret, Settings, signature};
use crate::io::files::read_text;
use crate::io::http::{Request, send};
use crate::io::program::run;
use crate::io::user_folders::{config, host_name, variable};
use serde_json::Value;
use std::time::Duration;

/// The file that says who is alerted, in the folder of what is configured.
const NAMED_IN: &str = "alerts.toml";

/// The octets of that file, and of a secret, at most.
const OCTETS_MAX: u64 = 1 << 16;

/// Who is alerted; `None` where nobody has said.
///
/// # Errors
///
/// Where the file is wrong.
pub(super) fn settings() -> Result<Option<Settings>, Error> {
    let Some(path) = config().map(|folder| folder.join(NAMED_IN)).filter(|path| path.exists())
    else {
        return Ok(None);
    };
    let text = read_text(&path, OCTETS_MAX)?.text;
    let wrong = |why: String| Error::Unreadable(format!("{}: {why}", path.display()));
    Settings::parse(&text).map(Some).map_err(wrong)
}

/// What this host is called in notices.
pub(super) fn watch_name() -> String {
    host_name().unwrap_or_else(|| "linkqual".to_owned())
}

/// Something that is about to be sent.
#[derive(Clone, Debug)]
pub(super) enum Post {
    /// To a web server.
    Web {
        /// The request, without what is sent.
        request: Request,
        /// What it is signed by.
        hmac: Option<String>,
    },
    /// To a program.
    Program {
        /// The program and its arguments.
        arguments: Vec<String>,
        /// How long it may take.
        limit: Duration,
    },
}

impl Post {
    /// How `receiver` is reached.
    ///
    /// # Errors
    ///
    /// Where its secret cannot be had.
    pub(super) fn of(receiver: &Receiver) -> Result<Self, String> {
        Ok(match receiver {
            Receiver::Alertmanager { url, bearer, ca_file } => {
                let url = format!("{}/api/v2/alerts", url.trim_end_matches('/'));
                let headers = authorization(bearer.as_ref())?;
                let request = Request { url, headers, ca_file: ca_file.clone(), json: None };
                Self::Web { request, hmac: None }
            }
            Receiver::Webhook { url, bearer, hmac, ca_file } => {
                let headers = authorization(bearer.as_ref())?;
                let (url, ca_file) = (url.clone(), ca_file.clone());
                let request = Request { url, headers, ca_file, json: None };
                Self::Web { request, hmac: hmac.as_ref().map(secret).transpose()? }
            }
            Receiver::Command { run, timeout } => Self::Program {
                arguments: run.clone(),
                limit: Duration::from_nanos(timeout.nanos()),
            },
        })
    }

    /// Sends `json`.
    ///
    /// # Errors
    ///
    /// Why it did not arrive.
    pub(super) async fn send(self, json: &Value) -> Result<(), String> {
        let text = json.to_string();
        match self {
            Self::Web { mut request, hmac } => {
                if let Some(key) = hmac {
                    request.headers.push(("X-Linkqual-Signature", signature(&key, &text)));
                }
                request.json = Some(text);
                send(&request).await.map_err(|error| error.to_string())
            }
            Self::Program { arguments, limit } => {
                run(&arguments, &text, limit).await.map_err(|error| error.to_string())
            }
        }
    }
}

/// Fetches the address of the heartbeat.
///
/// # Errors
///
/// Why it was not answered.
pub(super) async fn beat(url: String) -> Result<(), String> {
    let request = Request { url, ..Request::default() };
    send(&request).await.map_err(|error| error.to_string())
}

fn authorization(bearer: Option<&Secret>) -> Result<Vec<(&'static str, String)>, String> {
    let token = bearer.map(secret).transpose()?;
    Ok(token.map(|token| ("Authorization", format!("Bearer {token}"))).into_iter().collect())
}

fn secret(from: &Secret) -> Result<String, String> {
    let found = match from {
        Secret::File(path) => read_text(path, OCTETS_MAX).map_err(|error| error.to_string())?.text,
        Secret::Variable(name) => {
            variable(name).ok_or_else(|| format!("the variable {name} is not set"))?
        }
    };
    let secret = found.trim();
    if secret.is_empty() || !secret.chars().all(|c| c.is_ascii_graphic()) {
        return Err("the secret is empty, or has other than printable characters".to_owned());
    }
    Ok(secret.to_owned())
}
