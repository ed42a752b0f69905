//! What one reading of the configuration comes to: the connections of its accounts, and what is followed by each.

use std::sync::Arc;

use tracing::warn;

use super::Metrics;
use crate::config::{Account, Config};
use crate::drs::{self, AccountError, Past};
use crate::poller::{self, Demand};

/// One account as it is used.
#[derive(Clone, Debug)]
pub(super) struct Office {
    pub(super) account: Account,
    pub(super) client: Arc<drs::Account>,
    pub(super) demand: Demand,
    /// What it was called by the plan before, where it was called otherwise.
    pub(super) formerly: Option<String>,
}

impl Office {
    /// The account's name.
    pub(super) fn name(&self) -> &str {
        &self.account.drs.account
    }
}

/// What is followed from now on.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) offices: Vec<Arc<Office>>,
    pub(super) poller: poller::Config,
}

impl Plan {
    pub(super) fn office(&self, account: &str) -> Option<&Arc<Office>> {
        self.offices.iter().find(|office| office.name() == account)
    }
}

/// Makes plans, each in the place of the one before, and sees to it that no account begins anew with what the cloud remembers of it.
#[derive(Debug)]
pub(super) struct Planner {
    metrics: Metrics,
    present: Vec<Arc<Office>>,
    /// Accounts that are not used any more, for as long as they could come back too early.
    former: Vec<Past>,
}

/// A plan that does not hold yet.
#[derive(Debug)]
pub(super) struct Drawn {
    plan: Plan,
    /// The accounts that have another connection than before, and what came before it.
    changed: Vec<(Arc<drs::Account>, Past)>,
}

impl Planner {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { metrics, present: Vec::new(), former: Vec::new() }
    }

    /// Prepares the connections of all accounts. Those that stay as they were are the same. Nothing changes yet.
    ///
    /// # Errors
    /// Each account that cannot be used.
    pub(super) async fn draw(&self, config: &Config) -> Result<Drawn, Vec<AccountError>> {
        let mut drawn =
            Drawn { plan: Plan { offices: Vec::new(), poller: config.poller.clone() }, changed: Vec::new() };
        let mut problems = Vec::new();
        for account in &config.accounts {
            if let Err(problem) = self.add(account, &mut drawn).await {
                problems.push(problem);
            }
        }
        if problems.is_empty() { Ok(drawn) } else { Err(problems) }
    }

    async fn add(&self, account: &Account, drawn: &mut Drawn) -> Result<(), AccountError> {
        let config = account.drs.clone().resolved().await?;
        let present = self.present.iter().find(|office| office.name() == config.account);
        let office = match present.filter(|office| office.client.is_of(&config)) {
            Some(office) => Office { account: account.clone(), formerly: None, ..(**office).clone() },
            None => {
                let before = self.before(&config);
                let client = open(config, &self.metrics, before.as_ref())?;
                let formerly = before.as_ref().map(Past::account).filter(|name| *name != account.drs.account);
                let formerly = formerly.map(str::to_owned);
                drawn.changed.extend(before.map(|before| (Arc::clone(&client), before)));
                Office { account: account.clone(), demand: demand(account), client, formerly }
            }
        };
        drawn.plan.offices.push(Arc::new(office));
        Ok(())
    }

    /// What is known of an account that is to be used: by its name, or else by how it asks, since it may have another name now.
    fn before(&self, config: &drs::Config) -> Option<Past> {
        let known = || self.present.iter().map(|office| office.client.past()).chain(self.former.iter().rev().cloned());
        known().find(|past| past.account() == config.account).or_else(|| known().find(|past| past.asked_as(config)))
    }

    /// The plan holds from now on.
    pub(super) fn adopt(&mut self, drawn: Drawn) -> Plan {
        let Drawn { plan, changed } = drawn;
        for (client, before) in &changed {
            client.takes_over(before);
        }
        let gone = self.present.iter().filter(|office| plan.office(office.name()).is_none());
        self.former.extend(gone.map(|office| office.client.past()));
        self.former.retain(Past::matters);
        self.present.clone_from(&plan.offices);
        plan
    }
}

/// The connection of one account, as it is used where no other comes in its place.
///
/// # Errors
/// When the account cannot be used.
pub(super) async fn connect(account: &Account, metrics: &Metrics) -> Result<Arc<drs::Account>, AccountError> {
    open(account.drs.clone().resolved().await?, metrics, None)
}

/// What the polls of an account ask for, which is nothing yet.
pub(super) fn demand(account: &Account) -> Demand {
    Demand::new(&account.drs.account, account.drs.limits.requests_per_second)
}

fn open(config: drs::Config, metrics: &Metrics, before: Option<&Past>) -> Result<Arc<drs::Account>, AccountError> {
    for endpoint in [&config.endpoint].into_iter().chain(&config.auth.iam_endpoint) {
        if endpoint.is_exposed() {
            warn!(account = config.account, %endpoint, "secrets cross the network unencrypted; use https");
        }
    }
    Ok(Arc::new(drs::Account::new(config, metrics.drs.clone(), before)?))
}
