//! Making a history, and opening one.

use super::connection::{Store, failed_at};
use super::error::Error;
use super::place::Place;
use super::schema;
use crate::io::files;
use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, Connection as _};
use std::path::Path;
use std::time::Duration;
use tokio::time::timeout;

impl Store {
    /// Makes a history at `place`, or brings the one that is there up to date.
    ///
    /// # Errors
    ///
    /// Where it cannot be made.
    pub async fn make(place: &Place) -> Result<Self, Error> {
        if let Place::File(path) = place {
            let folder = path.parent().filter(|folder| *folder != Path::new(""));
            let folder = folder.unwrap_or(Path::new("."));
            let failed = |source| Error::File { path: path.clone(), source };
            files::make_private_folder(folder).map_err(failed)?;
            refuse_shared(folder)?;
            files::make_private_file(path).map_err(failed)?;
        }
        Self::connect(place).await
    }

    /// Opens the history at `place`, and brings it up to date.
    ///
    /// # Errors
    ///
    /// Where there is none, or it is of a later linkqual, or cannot be opened.
    pub async fn open(place: &Place) -> Result<Self, Error> {
        if let Place::File(path) = place {
            if !path.exists() {
                return Err(Error::None(place.clone()));
            }
            refuse_shared(path)?;
        }
        Self::connect(place).await
    }

    async fn connect(place: &Place) -> Result<Self, Error> {
        install_default_drivers();
        let connecting = timeout(CONNECT_MAX, AnyConnection::connect(&place.url()));
        let connection = match connecting.await {
            Ok(connection) => connection.map_err(failed_at(place))?,
            Err(_) => return Err(Error::Silent { place: place.clone(), after: CONNECT_MAX }),
        };
        let mut store = Self { place: place.clone(), connection };
        if matches!(place, Place::File(_)) {
            let set = sqlx::raw_sql(OF_SQLITE).execute(&mut store.connection).await;
            set.map_err(failed_at(place))?;
        }
        schema::migrate(&mut store).await?;
        Ok(store)
    }
}

/// How long a server may take to answer.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Writers wait for each other; what is committed is on the disk.
const OF_SQLITE: &str = "PRAGMA busy_timeout = 3000; PRAGMA journal_mode = WAL; \
                         PRAGMA synchronous = FULL;";

fn refuse_shared(path: &Path) -> Result<(), Error> {
    match files::network_file_system(path) {
        Some(kind) => Err(Error::Shared { path: path.to_owned(), kind }),
        None => Ok(()),
    }
}
