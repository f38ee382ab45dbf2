//! What is looked after while the gateway runs.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Gateway, Parts, Tls};
use crate::health::Checks;
use crate::listen::{Expiry, Renewal};
use crate::session::recheck;
use crate::tunnel::keys;

impl Gateway {
    /// A recorder that has failed stays so: it is said once, aloud, and not only to those who are refused.
    pub(super) fn watch_recorder(&self, stop: &CancellationToken) {
        let (Some(recorder), stop) = (self.parts.recorder.clone(), stop.clone()) else { return };
        self.parts.tasks.spawn(async move {
            tokio::select! {
                error = recorder.failed() => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "recording has failed: no session runs until the gateway is started again");
                }
                () = stop.cancelled() => {}
            }
        });
    }

    /// Agents' keys are taken away, and their time ends.
    pub(super) fn watch_agents(&self, stop: &CancellationToken) {
        let Parts { agents, agent_tokens, tasks, .. } = &self.parts;
        let authenticator = Arc::clone(agent_tokens);
        let watch = keys::watch(agents.clone(), authenticator);
        tasks.spawn(stop.clone().run_until_cancelled_owned(watch));
    }

    /// Rules, users and roles change while sessions run.
    pub(super) fn watch_access(&self, stop: &CancellationToken) {
        let Parts { sessions, access, tasks, .. } = &self.parts;
        let watch = recheck::watch(sessions.clone(), access.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(watch));
    }

    /// Reviews expire, and may be decided on through another gateway.
    pub(super) fn watch_reviews(&self, stop: &CancellationToken) {
        let Parts { reviews, tasks, .. } = &self.parts;
        tasks.spawn(stop.clone().run_until_cancelled_owned(reviews.clone().watch()));
    }

    /// A certificate of somebody else's is renewed by somebody else, who need not know of this gateway.
    pub(super) fn watch_certificate(&self, stop: &CancellationToken) {
        let Parts { tls: Tls { certificate, files }, telemetry, clock, tasks, .. } = &self.parts;
        let expiry = Expiry::new(certificate.clone(), Arc::clone(telemetry), Arc::clone(clock));
        tasks.spawn(stop.clone().run_until_cancelled_owned(expiry.watch()));
        let Some(files) = files.clone() else { return };
        let watch = Renewal::new(certificate.clone(), files).watch();
        tasks.spawn(stop.clone().run_until_cancelled_owned(watch));
    }

    pub(super) fn watch_targets(&self, stop: &CancellationToken) {
        let Parts { sessions, health, tasks, .. } = &self.parts;
        let checks = Checks::new(sessions.clone(), Arc::clone(health), tasks.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(checks.run()));
    }
}
