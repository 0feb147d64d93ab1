//! Whether `check` and `run` may load a link now: blackouts, orders to stop, changes, and whether
//! somebody uses it.

use super::blackouts::Known;
use super::error::Error;
use super::stopping::{Stops, loaded};
use super::volume::{now, volume};
use crate::account::plain;
use crate::cli::PermitArgs;
use crate::direction::Direction;
use crate::forecast::Forecast;
use crate::io::terminal::{ask, say};
use crate::method::Impossible;
use crate::plan::Plan;
use crate::units::Span;
use jiff::SignedDuration;

/// Whether `plans` may load their links now; what their report notes of that. A link whose plan
/// says that it is in service has its load watched over.
///
/// # Errors
///
/// Where they may not, and what to do.
pub(super) fn permit(plans: &mut [Plan], args: &PermitArgs) -> Result<Vec<String>, Error> {
    let Some(links) = loaded(plans.iter()) else { return Ok(Vec::new()) };
    if let Some(why) = Stops::of_this_user().about(&links) {
        return Err(Error::Denied(why));
    }
    let mut notes = changes(plans, args)?;
    notes.extend(blackouts(plans, args)?);
    for plan in plans.iter_mut().filter(|plan| plan.loads()) {
        if plan.rules.in_service == Some(true) && !args.out_of_service {
            within_share(plan)?;
            plan.rules.abort_if = plan.rules.aborts();
            plan.rules.ramps_in = true;
        }
    }
    if args.out_of_service {
        notes.push("out of service, as given with the command".to_owned());
    }
    Ok(notes)
}

/// What plans of links that need a change note of it.
fn changes(plans: &[Plan], args: &PermitArgs) -> Result<Vec<String>, Error> {
    let change = args.change.as_ref().map(|change| plain(change.trim()));
    let needing = plans.iter().find(|plan| plan.loads() && plan.rules.requires_change);
    if let (Some(plan), None) = (needing, change.as_ref().filter(|it| !it.is_empty())) {
        return Err(Error::Links(format!(
            "{}: it needs a change (require_change), and none is named: give --change ID",
            name_of(plan)
        )));
    }
    Ok(change.into_iter().map(|change| format!("change: {change}")).collect())
}

/// What is noted of blackouts that are overridden.
fn blackouts(plans: &[Plan], args: &PermitArgs) -> Result<Vec<String>, Error> {
    let known = Known::read()?;
    let mut notes = Vec::new();
    for plan in plans.iter().filter(|plan| plan.loads()) {
        let start = now();
        let end = start.checked_add(longest(plan)?).unwrap_or(start);
        let Some(why) = known.of(&plan.link).within(start, end) else { continue };
        let name = name_of(plan);
        match &args.override_blackout {
            Some(reason) => notes.push(format!(
                "{name}: loaded in a {}, overridden: {}",
                plain(&why),
                plain(reason.trim())
            )),
            None => {
                return Err(Error::Denied(format!(
                    "{name}: {why}. Run it afterwards, or give --override-blackout REASON, which \
                     is recorded"
                )));
            }
        }
    }
    Ok(notes)
}

/// How long a run takes, as planned.
fn longest(plan: &Plan) -> Result<SignedDuration, Error> {
    let forecast = Forecast::of(plan).map_err(Impossible::OutOfBounds)?;
    let lasts: Span = volume(plan, &forecast).lasts;
    Ok(SignedDuration::from_nanos_i128(lasts.nanos().into()))
}

/// A link that its plan says is in service is loaded with its share.
fn within_share(plan: &Plan) -> Result<(), Error> {
    let (rules, link) = (&plan.rules, &plan.link);
    for test in &plan.tests {
        let Some((offer, directions)) = test.work.offer().zip(test.work.directions()) else {
            continue;
        };
        let beyond = directions.iter().find(|it| !rules.allows(offer, link, *it));
        let Some(direction) = beyond else { continue };
        let most = match rules.most(link, direction) {
            Some(most) => format!("at most {most}, {} of its committed rate, is", rules.share()),
            None => "a share of its committed rate, which the plan does not give, is".to_owned(),
        };
        return Err(Error::Links(format!(
            "{}: it is in service (in_service = true), so {most} allowed {direction}. Test with \
             less, or, if nobody uses the link now, give --out-of-service",
            name_of(plan)
        )));
    }
    Ok(())
}

/// Asks whoever typed a command whether the link may be loaded as `plan` does; where nobody can be
/// asked, that is said once, and the load goes on.
///
/// # Errors
///
/// Where it may not.
pub(super) fn confirm(plan: &Plan, args: &PermitArgs, is_quiet: bool) -> Result<(), Error> {
    if !plan.loads() || args.yes || args.out_of_service {
        return Ok(());
    }
    let forecast = Forecast::of(plan).map_err(Impossible::OutOfBounds)?;
    let is_open = |direction| forecast.sites.iter().any(|site| site.sent(direction).is_open);
    let volume = volume(plan, &forecast);
    let what = Direction::ALL.map(|direction| {
        let sent = &volume.sent[usize::from(direction == Direction::Reverse)];
        let sent = if is_open(direction) { "all it takes".to_owned() } else { sent.to_string() };
        let way = if direction == Direction::Forward { "A->B" } else { "B->A" };
        format!("{sent} {way}")
    });
    let what = what.join(" and ");
    let seconds = volume.loads.secs_up();
    let question = format!(
        "This loads the link for {seconds} s: {what}. Whoever uses it may notice. Go on? [y/N] "
    );
    match ask(&question).as_deref().map(str::trim) {
        Some("y" | "Y" | "yes") => Ok(()),
        Some(_) => Err(Error::Denied("nothing was sent".to_owned())),
        None => {
            if !is_quiet {
                say(&format!(
                    "note: this loads the link for {seconds} s: {what}. --yes or --out-of-service \
                     leaves this note out"
                ));
            }
            Ok(())
        }
    }
}

fn name_of(plan: &Plan) -> String {
    plan.link.name.clone().unwrap_or_else(|| "the link".to_owned())
}
