//! Whether a target answers as it should.

use bytes::Bytes;
use hoop_core::role::HttpHealth;
use hoop_core::{Code, Denial};
use hoop_proto::tunnel::v1::{self, HttpField, http_message};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::call::{Call, Unanswered};
use super::exchange::GiveUp;
use crate::session::HttpUrl;
use crate::tunnel::{Channel, OpenFailure, Received};

/// More than an answer to a check of gRPC has.
const MOST_BYTES: usize = 64 * 1024;

/// Asks a target once. Of what it says beside the status nothing is read.
///
/// # Errors
/// What is wrong with it.
pub(crate) async fn probe(channel: Channel, url: &HttpUrl, checks: &HttpHealth) -> Result<(), Denial> {
    match &checks.grpc_service {
        Some(service) => call(channel, url, service).await,
        None => get(channel, url, checks).await,
    }
}

async fn get(channel: Channel, url: &HttpUrl, checks: &HttpHealth) -> Result<(), Denial> {
    let _give_up = GiveUp::of(channel.canceller());
    let (mut receiver, mut sender) = channel.split();
    let agent = HttpField { name: "user-agent".to_owned(), value: Bytes::from_static(b"hoop-gateway") };
    let head = v1::HttpRequest {
        method: "GET".to_owned(),
        path: format!("{}{}", url.prefix, checks.path),
        authority: url.authority.clone(),
        fields: vec![agent],
        bodiless: true,
        websocket: false,
        grpc: false,
    };
    sender.http(http_message::Body::Request(head)).await?;
    match receiver.receive().await? {
        Received::Http(http_message::Body::Response(answer)) => is_expected(answer.status, &checks.status),
        Received::Http(http_message::Body::Failed(failure)) => Err(OpenFailure::from(failure).denial),
        _ => Err(unwell("it answered with what is none of HTTP".to_owned())),
    }
}

fn is_expected(status: u32, expected: &[u16]) -> Result<(), Denial> {
    let fits = match expected {
        [] => (200..400).contains(&status),
        some => some.iter().any(|expected| u32::from(*expected) == status),
    };
    if fits { Ok(()) } else { Err(unwell(format!("it answered with the status {status}"))) }
}

/// By [gRPC's own protocol](https://github.com/grpc/grpc/blob/master/doc/health-checking.md).
async fn call(channel: Channel, url: &HttpUrl, service: &str) -> Result<(), Denial> {
    let mut call = Call::begin(channel, url, "/grpc.health.v1.Health/Check", MOST_BYTES).await?;
    call.say(&HealthCheckRequest { service: service.to_owned() }).await?;
    call.end().await?;
    match call.hear::<HealthCheckResponse>().await {
        Ok(answer) if answer.status == i32::from(ServingStatus::Serving) => Ok(()),
        Ok(_) => Err(unwell("it says that it does not serve".to_owned())),
        Err(Unanswered::Status(status)) => Err(unwell(format!("its check ended with the status {status} of gRPC"))),
        Err(Unanswered::Broken(denial)) => Err(denial),
    }
}

fn unwell(reason: String) -> Denial {
    Denial::new("gateway", Code::TargetUnavailable, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_expected_or_not() {
        for (status, expected, fits) in [
            (200, &[][..], true),
            (399, &[], true),
            (404, &[], false),
            (503, &[], false),
            (404, &[404], true),
            (200, &[204], false),
        ] {
            assert_eq!(is_expected(status, expected).is_ok(), fits, "{status} {expected:?}");
        }
    }
}
