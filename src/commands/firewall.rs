//! `linkqual plan firewall`: what must pass, and whether it does.

use super::error::Error;
use super::keys::{self, Keys};
use super::planning::{Loaded, load};
use super::runtime::runtime;
use crate::cli::PlanFirewallArgs;
use crate::driver::precheck::{Outcome, Step, Target, check};
use crate::driver::{addresses, egress_of, fitting};
use crate::forecast::{Endpoint, FirewallHosts, Forecast, nft, table};
use crate::io::host;
use crate::io::terminal::{columns, print, say};
use crate::io::udp::Socket;
use crate::method::Impossible;
use crate::plan::{Plan, PlanKind};
use crate::wrap::{GLUE, Page, Table};
use std::process::ExitCode;

/// `linkqual plan firewall`.
///
/// # Errors
///
/// Where the plan or its keys are wrong.
pub(super) fn firewall(args: &PlanFirewallArgs) -> Result<ExitCode, Error> {
    let Loaded { plans, .. } = load(&args.plan)?;
    let runtime = runtime()?;
    let (mut worst, mut is_first) = (0, true);
    for plan in &plans.plans {
        if plans.kind == PlanKind::Links {
            let name = plan.link.name.as_deref().unwrap_or_default();
            let sign = if args.nft { "# " } else { "" };
            let gap = if is_first { "" } else { "\n" };
            print(&format!("{gap}{sign}link {name}\n"))?;
            is_first = false;
        }
        let code = match args.probe {
            true => runtime.block_on(probe(plan))?,
            false => runtime.block_on(rules(plan, args.nft))?,
        };
        worst = worst.max(code);
    }
    Ok(ExitCode::from(worst))
}

/// What must pass for `plan`; the exit code.
async fn rules(plan: &Plan, is_nft: bool) -> Result<u8, Error> {
    let forecast = Forecast::of(plan).map_err(Impossible::OutOfBounds)?;
    let (endpoints, unknown) = endpoints(plan).await;
    let hosts = FirewallHosts { ports: host::own_ports(), endpoints };
    let rules = nft(plan, &forecast, &hosts);
    let text = match is_nft {
        true => rules,
        false => {
            format!(
                "{}\nThe same as rules of nftables:\n\n{rules}",
                table(plan, &forecast, &hosts, columns())
            )
        }
    };
    if !hosts.endpoints.is_empty() {
        print(&text)?;
    }
    // What is known of the other sites is shown all the same.
    unknown.iter().for_each(|error| say(&format!("error: {error}")));
    Ok(unknown.first().map_or(0, Error::exit_code))
}

/// Where the agents are, and the names that are nobody's.
async fn endpoints(plan: &Plan) -> (Vec<Endpoint>, Vec<Error>) {
    let (mut endpoints, mut unknown) = (Vec::new(), Vec::new());
    let egress = egress_of(plan);
    for (place, site) in plan.sites.iter().enumerate() {
        // A firewall has to know each, as a run may take any.
        match addresses(&site.agent).await {
            Ok(agents) => endpoints.extend(agents.into_iter().map(|agent| {
                let local = Socket::connect_by(agent, &egress).and_then(|socket| socket.local());
                let driver = local.ok().map(|local| local.ip());
                Endpoint { place, agent, driver }
            })),
            Err(error) => unknown.push(error.into()),
        }
    }
    (endpoints, unknown)
}

/// Tries each agent as a run would, without load, and says what was seen.
async fn probe(plan: &Plan) -> Result<u8, Error> {
    let Keys { identity, former, agents: agent_keys } = keys::of_plan(plan)?;
    let mut passed = true;
    for (place, (site, agent_key)) in plan.sites.iter().zip(agent_keys).enumerate() {
        print(&format!("{} ({})\n", site.name, site.agent))?;
        let agents = match addresses(&site.agent).await {
            Ok(agents) => fitting(agents, plan.near.source),
            Err(error) => {
                let seen = error.to_string();
                print(&listing(&[Step {
                    what: "name".to_owned(),
                    outcome: Outcome::Blocked,
                    seen,
                }]))?;
                passed = false;
                continue;
            }
        };
        let mut reached = false;
        // A run takes the first that answers.
        for agent in &agents {
            if 1 < agents.len() {
                print(&format!("  at {agent}\n"))?;
            }
            let (identity, former, agent) = (identity.clone(), former.clone(), *agent);
            let egress = egress_of(plan);
            let target = Target { plan, place, agent, egress, identity, former, agent_key };
            let steps = check(&target).await;
            print(&listing(&steps))?;
            reached = steps.iter().all(Step::passes);
            if reached {
                break;
            }
        }
        passed &= reached;
    }
    Ok(if passed { 0 } else { 4 })
}

/// What was tried, a row for each.
fn listing(steps: &[Step]) -> String {
    let mut table = Table::new(&["", "", ""]);
    for Step { what, outcome, seen } in steps {
        // Of one width, whatever else is in the table.
        let mark = match outcome {
            Outcome::Passes => format!("passes{GLUE}"),
            Outcome::Blocked => "BLOCKED".to_owned(),
            Outcome::Refused => "REFUSED".to_owned(),
        };
        table.row(&[&mark, what, seen]);
    }
    let mut page = Page::listing(columns());
    page.table("  ", &table);
    page.into_text()
}
