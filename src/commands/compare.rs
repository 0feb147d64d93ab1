//! `linkqual compare`: a run of the history, held against those before it.

use super::error::Error;
use super::history::opened;
use super::runtime::runtime;
use crate::account::plain;
use crate::cli::{CompareArgs, ListFormat};
use crate::history::When;
use crate::history::comparison::{
    Baseline, CHANGES_NS, Comparing, Comparison, Outcome, ROLLING_NS,
};
use crate::io::terminal::{columns, print, say};
use crate::store::Store;
use std::process::ExitCode;

/// The exit code of what is shown to be worse, and of too little to say.
const WORSE: u8 = 1;
const TOO_LITTLE: u8 = 3;

/// `linkqual compare`.
///
/// # Errors
///
/// Where there is no such run, or the history cannot be read.
pub(super) fn compare(args: &CompareArgs) -> Result<ExitCode, Error> {
    let comparison = runtime()?.block_on(compared(args))?;
    print(&match args.format {
        ListFormat::Text => comparison.text(columns()),
        ListFormat::Json => comparison.json(),
        ListFormat::Csv => comparison.csv(),
    })?;
    Ok(match comparison.result {
        Outcome::NotWorse => ExitCode::SUCCESS,
        Outcome::Worse => ExitCode::from(WORSE),
        Outcome::TooLittle => ExitCode::from(TOO_LITTLE),
    })
}

async fn compared(args: &CompareArgs) -> Result<Comparison, Error> {
    let mut store = opened(&args.place).await?;
    let run = store.find(&args.run).await?;
    let began_ns = store.began_ns(&run).await?;
    let baseline = match args.baseline.parse() {
        Ok(When::Ago(ns)) => Baseline::Rolling(ns),
        _ => Baseline::Run(store.find(&args.baseline).await?),
    };
    let (since_ns, until_ns) = match &baseline {
        Baseline::Rolling(ns) => (began_ns.saturating_sub(CHANGES_NS.max(*ns)), began_ns),
        Baseline::Run(other) => {
            let other_ns = store.began_ns(other).await?;
            let rolling_ns = began_ns.saturating_sub(CHANGES_NS.max(ROLLING_NS));
            (rolling_ns.min(other_ns), began_ns.max(other_ns))
        }
    };
    let mut sites = Vec::new();
    for site in store.sites(&run).await? {
        let past = store.past_runs(&site, since_ns, until_ns).await?;
        let (own, others): (Vec<_>, Vec<_>) =
            past.into_iter().partition(|past| past.run == run && past.place == site.place);
        let Some(own) = own.into_iter().next() else { continue };
        sites.push(Comparing::new(&site.label, &site.site, own, others, baseline.clone()));
    }
    take_histograms(&mut store, &run, &mut sites).await?;
    let sites = sites.iter().map(Comparing::conclude).collect();
    Ok(Comparison::new(&run, began_ns, &baseline, sites))
}

/// Reads each report once, whatever number of links is in it.
///
/// A report that is damaged, or of a later linkqual, costs its distributions alone, which is said;
/// that of the `run` which is compared is needed.
async fn take_histograms(
    store: &mut Store,
    run: &str,
    sites: &mut [Comparing],
) -> Result<(), Error> {
    let wanted: std::collections::BTreeSet<String> =
        sites.iter().flat_map(Comparing::documents).collect();
    for name in wanted {
        let report = match store.report(&name).await {
            Ok(report) => report,
            // A run that was not imported whole has rows alone.
            Err(crate::store::Error::NoRun(_)) => continue,
            Err(why @ crate::store::Error::Damaged { .. }) if name != run => {
                say(&plain(&format!("note: its delays are not compared: {why}")));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        sites.iter_mut().for_each(|site| site.take(&name, &report));
    }
    Ok(())
}
