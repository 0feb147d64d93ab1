//! Who is alerted, and how: the file alerts.toml.

use super::register::Pace;
use crate::units::Span;
use serde::{Deserialize, Deserializer};
use std::path::PathBuf;

/// Who is alerted, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// When alerts are reported.
    pub pace: Pace,
    /// To whom.
    pub receivers: Vec<Receiver>,
    /// The address that is fetched while this program runs, and how often, in seconds.
    pub heartbeat: Option<(String, i64)>,
}

/// Somebody who is alerted.
#[derive(Clone, Debug, PartialEq)]
pub enum Receiver {
    /// An Alertmanager.
    Alertmanager {
        /// Its address.
        url: String,
        /// A file with a token that it is sent.
        bearer: Option<Secret>,
        /// A file with certificates of authorities that are trusted for it, in the place of those
        /// of the system.
        ca_file: Option<PathBuf>,
    },
    /// A web server.
    Webhook {
        /// The address.
        url: String,
        /// A token that it is sent.
        bearer: Option<Secret>,
        /// What its notices are signed by.
        hmac: Option<Secret>,
        /// As above.
        ca_file: Option<PathBuf>,
    },
    /// A program of this host.
    Command {
        /// The program, and its arguments.
        run: Vec<String>,
        /// How long it may take.
        timeout: Span,
    },
}

/// Where a secret is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Secret {
    /// In a file.
    File(PathBuf),
    /// In a variable of the environment.
    Variable(String),
}

impl Receiver {
    /// What it is called in messages.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Alertmanager { url, .. } => format!("Alertmanager {}", shown(url)),
            Self::Webhook { url, .. } => format!("webhook {}", shown(url)),
            Self::Command { run, .. } => format!("command {}", run.first().map_or("", |it| it)),
        }
    }
}

/// An address without what may be secret: its path is for hooks that have no other.
fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split('/').next().unwrap_or(rest);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSettings {
    group_wait: Option<RawSpan>,
    resolve_wait: Option<RawSpan>,
    remind: Option<RawSpan>,
    heartbeat_url: Option<RawUrl>,
    heartbeat: Option<RawSpan>,
    #[serde(default)]
    alertmanager: Vec<RawAlertmanager>,
    #[serde(default)]
    webhook: Vec<RawWebhook>,
    #[serde(default)]
    command: Vec<RawCommand>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAlertmanager {
    url: RawUrl,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    ca_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWebhook {
    url: RawUrl,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    hmac_file: Option<PathBuf>,
    hmac_env: Option<String>,
    ca_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCommand {
    run: RawRun,
    timeout: Option<RawSpan>,
}

#[derive(Debug)]
struct RawSpan(Span);

#[derive(Debug)]
struct RawUrl(String);

#[derive(Debug)]
struct RawRun(Vec<String>);

/// The longest time that is taken.
const SPAN_MAX: Span = Span::from_secs(7 * 86_400);

impl<'de> Deserialize<'de> for RawSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span: Result<Span, _> = text.parse();
        let span = span.map_err(serde::de::Error::custom)?;
        if span < Span::from_secs(1) || SPAN_MAX < span {
            return Err(serde::de::Error::custom(format!("{text}: from 1 s to 168 h are allowed")));
        }
        Ok(Self(span))
    }
}

impl<'de> Deserialize<'de> for RawUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        let has_host = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
        let is_whole = text.chars().all(|c| c.is_ascii_graphic());
        if !has_host || !is_whole {
            let why = "not an address such as \"https://alerts.example/hook\"";
            return Err(serde::de::Error::custom(why));
        }
        Ok(Self(text))
    }
}

impl<'de> Deserialize<'de> for RawRun {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let run = Vec::<String>::deserialize(deserializer)?;
        if run.first().is_none_or(|program| !program.starts_with('/')) {
            let why = "not a program with its whole path, and its arguments, such as \
                       [\"/usr/local/bin/page\", \"--team\", \"network\"]";
            return Err(serde::de::Error::custom(why));
        }
        Ok(Self(run))
    }
}

const TIMEOUT: Span = Span::from_secs(10);
const HEARTBEAT: Span = Span::from_secs(60);

impl Settings {
    /// What `text`, the file's, says.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let raw: RawSettings =
            toml::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        let usual = Pace::default();
        let seconds = |span: &Option<RawSpan>, usual| span.as_ref().map_or(usual, whole);
        let pace = Pace {
            group_wait_s: seconds(&raw.group_wait, usual.group_wait_s),
            resolve_wait_s: seconds(&raw.resolve_wait, usual.resolve_wait_s),
            remind_s: seconds(&raw.remind, usual.remind_s),
        };
        let often = whole(&raw.heartbeat.unwrap_or(RawSpan(HEARTBEAT)));
        let heartbeat = raw.heartbeat_url.map(|url| (url.0, often));
        let managers = raw.alertmanager.into_iter().map(RawAlertmanager::receiver);
        let hooks = raw.webhook.into_iter().map(RawWebhook::receiver);
        let commands = raw.command.into_iter().map(|raw| {
            let timeout = raw.timeout.map_or(TIMEOUT, |timeout| timeout.0);
            Ok(Receiver::Command { run: raw.run.0, timeout })
        });
        let receivers = managers.chain(hooks).chain(commands).collect::<Result<_, _>>()?;
        Ok(Self { pace, receivers, heartbeat })
    }
}

fn whole(span: &RawSpan) -> i64 {
    i64::try_from(span.0.secs_up()).unwrap_or(i64::MAX)
}

impl RawAlertmanager {
    fn receiver(self) -> Result<Receiver, String> {
        let bearer = secret("token", self.token_file, self.token_env)?;
        Ok(Receiver::Alertmanager { url: self.url.0, bearer, ca_file: self.ca_file })
    }
}

impl RawWebhook {
    fn receiver(self) -> Result<Receiver, String> {
        let bearer = secret("token", self.token_file, self.token_env)?;
        let hmac = secret("hmac", self.hmac_file, self.hmac_env)?;
        Ok(Receiver::Webhook { url: self.url.0, bearer, hmac, ca_file: self.ca_file })
    }
}

fn secret(
    what: &str,
    file: Option<PathBuf>,
    variable: Option<String>,
) -> Result<Option<Secret>, String> {
    match (file, variable) {
        (Some(_), Some(_)) => Err(format!("{what}_file and {what}_env: give one of them")),
        (Some(file), None) => Ok(Some(Secret::File(file))),
        (None, variable) => Ok(variable.map(Secret::Variable)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_each_kind_of_receiver_is_read() {
        let text = "remind = '2 h'\nheartbeat_url = 'https://hc.example/abc'\n\
                    [[alertmanager]]\nurl = 'http://127.0.0.1:9093'\n\
                    [[webhook]]\nurl = 'https://u:p@hooks.example:444/secret'\n\
                    hmac_env = 'HOOK_KEY'\n\
                    [[command]]\nrun = ['/bin/page', 'me']\ntimeout = '3 s'\n";
        let settings = Settings::parse(text).expect("settings");
        assert_eq!((settings.pace.remind_s, settings.pace.group_wait_s), (7200, 15));
        assert_eq!(settings.heartbeat, Some(("https://hc.example/abc".to_owned(), 60)));
        let names: Vec<String> = settings.receivers.iter().map(Receiver::name).collect();
        let expected = [
            "Alertmanager http://127.0.0.1:9093",
            "webhook https://hooks.example:444",
            "command /bin/page",
        ];
        assert_eq!(names, expected);
        assert_eq!(Settings::parse("").expect("none").receivers, []);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, what) in [
            ("\n[[webhook]]\nurl = 'ftp://x'", "not an address such as"),
            ("[[webhook]]\n", "missing field `url`"),
            ("[[command]]\nrun = ['page']", "not a program with its whole path"),
            ("remind = '0 s'", "from 1 s to 168 h are allowed"),
            ("remind = 'often'", "a length of time"),
            ("[[mail]]", "unknown field `mail`"),
            ("[[alertmanager]]\nurl='http://x'\ntoken_env='A'\ntoken_file='b'", "give one of them"),
        ] {
            let why = Settings::parse(text).expect_err(text);
            assert!(why.contains(what), "{why}");
        }
    }
}
