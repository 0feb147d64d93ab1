//! Where a history is: a file of SQLite, or a database of PostgreSQL.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where a history is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// A file of SQLite.
    File(PathBuf),
    /// A PostgreSQL server: its URL, which may have a password in it.
    Server(String),
}

impl Place {
    /// What sqlx takes.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Server(url) => url.clone(),
            Self::File(path) => format!("sqlite://{}", escaped(path)),
        }
    }

    /// It as it is remembered in a file: with the password.
    #[must_use]
    pub fn remembered(&self) -> String {
        match self {
            Self::Server(url) => url.clone(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("postgres" | "postgresql", _)) => Ok(Self::Server(text.to_owned())),
            Some((scheme, _)) => Err(format!(
                "{scheme}:// is no history: give a file for SQLite, or \
                 postgresql://USER@HOST/DATABASE"
            )),
            None if text.is_empty() => Err("no file is named".to_owned()),
            None => Ok(Self::File(text.into())),
        }
    }
}

/// Without the password.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Server(url) => f.write_str(&without_password(url)),
        }
    }
}

/// The characters that a URL keeps as they are.
fn escaped(path: &Path) -> String {
    let mut out = String::new();
    for octet in path.as_os_str().as_encoded_bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => {
                out.push(char::from(*octet));
            }
            octet => out += &format!("%{octet:02X}"),
        }
    }
    out
}

/// A URL with its password left out: that before the host, also where it has signs that should have
/// been escaped, and that among the parameters.
fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (shown, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => {
            (format!("{}@", user.split_once(':').map_or(user, |(user, _)| user)), rest)
        }
        None => (String::new(), rest),
    };
    let (path, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let parameters: Vec<&str> =
        parameters.split('&').filter(|it| !it.is_empty() && !it.starts_with("password=")).collect();
    let mark = if parameters.is_empty() { "" } else { "?" };
    format!("{scheme}://{shown}{path}{mark}{}", parameters.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_file_or_a_server_and_shows_no_password() {
        let shown = |text: &str| text.parse::<Place>().map(|place| place.to_string());
        assert_eq!(shown("/var/lib/x y.db").as_deref(), Ok("/var/lib/x y.db"));
        let hidden = Ok("postgresql://ops@db.example:5432/linkqual");
        assert_eq!(shown("postgresql://ops:s3:cret@db.example:5432/linkqual").as_deref(), hidden);
        let unescaped = shown("postgresql://ops:a/b?c@db/linkqual");
        assert_eq!(unescaped.as_deref(), Ok("postgresql://ops@db/linkqual"));
        let query = "postgres://db/linkqual?user=ops&password=s3cret&sslmode=require";
        let hidden = Ok("postgres://db/linkqual?user=ops&sslmode=require");
        assert_eq!(shown(query).as_deref(), hidden);
        assert!(shown("mysql://db").is_err_and(|why| why.contains("mysql:// is no history")));
        assert!(shown("").is_err());
    }

    #[test]
    fn any_name_of_a_file_is_taken_for_itself() {
        let place: Place = "/tmp/a?b#c%20 d".parse().expect("a file");
        assert_eq!(place.url(), "sqlite:///tmp/a%3Fb%23c%2520%20d");
    }
}
