//! A history that is open.

use super::error::Error;
use super::place::Place;
use sqlx::{AnyConnection, Connection as _};

/// A history that is open.
#[derive(Debug)]
pub struct Store {
    pub(super) place: Place,
    pub(super) connection: AnyConnection,
}

impl Store {
    /// Where it is.
    #[must_use]
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// Ends the connection in good order.
    ///
    /// # Errors
    ///
    /// Where the database does not hear of it; what was written is written.
    pub async fn close(self) -> Result<(), Error> {
        let place = self.place;
        self.connection.close().await.map_err(|source| Error::Database { place, source })
    }
}

/// The error of a database at `place`.
pub(super) fn failed_at(place: &Place) -> impl Fn(sqlx::Error) -> Error + '_ {
    |source| Error::Database { place: place.clone(), source }
}
