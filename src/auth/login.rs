//! What an account uses: proves its requests, learns from what becomes of them, and knows its project.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Request;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::attempts::{Attempts, Ticket};
use super::lease::Lease;
use super::password::User;
use super::token::Token;
use super::{Config, Error, Metrics, Place, Proof, Prove, Way, agency, iam, password};
use crate::cloud::{self, Http, Network, ProjectId};

/// How long the answer to a vain question for the project is believed, so that each poll does not ask anew.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The log-in of one account.
#[derive(Debug)]
pub struct Login {
    way: Box<dyn Prove>,
    attempts: Arc<Attempts>,
    account: String,
    network: Network,
    cloud_metrics: cloud::Metrics,
    place: Place,
    project: Mutex<Project>,
}

#[derive(Debug)]
enum Project {
    Unknown,
    Known(ProjectId),
    NotTold { error: Error, at: Instant },
}

/// A request that may be sent. What becomes of it has to be told, or counts as no verdict.
#[derive(Debug)]
pub struct Pass<'a> {
    login: &'a Login,
    /// Nothing once it was judged.
    ticket: Option<Ticket>,
    proof: Proof,
}

impl Login {
    /// Prepares the log-in, by a configuration that is [`Config::resolved`]; nothing is asked of the cloud yet. It comes in the
    /// place of the one `before`, whose attempts still count.
    ///
    /// # Errors
    /// When the HTTP client for IAM cannot be made.
    pub fn new(
        account: &str,
        config: Config,
        network: &Network,
        metrics: Metrics,
        cloud_metrics: cloud::Metrics,
        before: Option<&Self>,
    ) -> Result<Self, Error> {
        let place = Place { iam: config.iam_endpoint, region: config.region, project: config.project_id };
        let way: Box<dyn Prove> = match config.way {
            Way::Token(secret) => Box::new(Token(secret)),
            Way::AccessKey(key) => Box::new(key),
            Way::Password(user) => {
                let http = Http::new(account, &place.iam()?, network, cloud_metrics.clone())?;
                let lease = Lease::new(account, password::AHEAD, metrics);
                Box::new(User { user, http, place: place.clone(), lease })
            }
            // It is resolved, to anything but itself.
            Way::Chain => return Err(Error::NoIam),
            Way::Agency(agency) => {
                let metadata = agency.endpoint()?;
                // The metadata service is a part of the host: no proxy leads there.
                let direct = Network { proxy: None, ..network.clone() };
                let http = Http::new(account, &metadata, &direct, cloud_metrics.clone())?;
                Box::new(agency::Host { http, metadata, lease: Lease::new(account, agency::AHEAD, metrics) })
            }
        };
        let project = place.project.clone().map_or(Project::Unknown, Project::Known);
        let attempts = before.map(|before| Arc::clone(&before.attempts)).unwrap_or_default();
        Ok(Self {
            way,
            attempts,
            account: account.to_owned(),
            network: network.clone(),
            cloud_metrics,
            place,
            project: Mutex::new(project),
        })
    }

    /// It is used from now on in the place of one before, and proves something else.
    pub fn takes_over(&self) {
        self.attempts.proof_changed();
    }

    /// Whether attempts still count that were made with it, or with one before.
    pub fn has_attempts(&self) -> bool {
        self.attempts.count()
    }

    /// Whether there is any use in asking now.
    ///
    /// # Errors
    /// When the account was refused, and may not try again yet.
    pub async fn check(&self) -> Result<(), Error> {
        self.attempts.check(self.way.as_ref()).await
    }

    /// Adds to a request what proves who is asking. It has to be the last that is done to the request, which may be signed.
    ///
    /// Waits while one request tries whether a refused account is let in again.
    ///
    /// # Errors
    /// When there is no proof, or the account may not try again yet.
    pub async fn prove(&self, request: &mut Request) -> Result<Pass<'_>, Error> {
        let ticket = self.attempts.admit(self.way.as_ref()).await?;
        let mut pass = Pass { login: self, ticket: Some(ticket), proof: Proof::default() };
        pass.proof = self.way.prove(request, &self.attempts).await?;
        Ok(pass)
    }

    /// The project whose data is read: the one that is named, else the one that IAM has for the region.
    ///
    /// # Errors
    /// When IAM does not tell it.
    pub async fn project(&self) -> Result<ProjectId, Error> {
        let mut project = self.project.lock().await;
        match &*project {
            Project::Known(id) => return Ok(id.clone()),
            Project::NotTold { error, at } if at.elapsed() < ASK_AGAIN_AFTER => return Err(error.clone()),
            Project::NotTold { .. } | Project::Unknown => {}
        }
        let asked = self.ask_for_project().await;
        *project = match &asked {
            Ok(id) => Project::Known(id.clone()),
            Err(error) => Project::NotTold { error: error.clone(), at: Instant::now() },
        };
        asked
    }

    async fn ask_for_project(&self) -> Result<ProjectId, Error> {
        self.check().await?;
        let Some(region) = &self.place.region else { return Err(Error::NoIam) };
        let iam = self.place.iam()?;
        let http = Http::new(&self.account, &iam, &self.network, self.cloud_metrics.clone())?;
        let mut request = iam::projects_request(&iam, region);
        let pass = self.prove(&mut request).await?;
        let reply = iam::projects(&http, request).await?;
        let project = iam::the_project(&reply, region);
        match (reply.status.as_u16(), &project) {
            (401, Err(error)) => drop(pass.refused(&error.to_string())),
            (200..=499, _) => pass.accepted(),
            _ => {}
        }
        project
    }
}

impl Pass<'_> {
    /// The cloud took the proof, whatever else it says.
    pub fn accepted(mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.login.attempts.accepted(ticket);
        }
    }

    /// The cloud refused the proof, for the reason `why`. Whether there is another one that is worth a try at once.
    pub fn refused(mut self, why: &str) -> bool {
        let Some(ticket) = self.ticket.take() else { return false };
        let way = self.login.way.as_ref();
        let another = way.refused(self.proof);
        self.login.attempts.refused(ticket, way, self.proof.made_of, another, why)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.ticket.is_some() {
            self.login.attempts.unjudged();
        }
    }
}
