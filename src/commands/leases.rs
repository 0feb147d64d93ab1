//! `linkqual leases`: what is being loaded now, by whom, and until when.

use super::error::Error;
use super::history::opened;
use super::runtime::runtime;
use crate::cli::{LeasesArgs, TableFormat};
use crate::io::terminal::{columns, print};
use std::process::ExitCode;

/// `linkqual leases`.
///
/// # Errors
///
/// Where there is no history, or it cannot be read.
pub(super) fn leases(args: &LeasesArgs) -> Result<ExitCode, Error> {
    let holdings = runtime()?.block_on(async {
        let mut store = opened(&args.place).await?;
        Ok::<_, Error>(store.holdings().await?)
    })?;
    print(&match args.format {
        TableFormat::Text => holdings.text(columns()),
        TableFormat::Json => holdings.json(),
    })?;
    Ok(ExitCode::SUCCESS)
}
