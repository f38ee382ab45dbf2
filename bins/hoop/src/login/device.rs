//! By a code that somebody types in elsewhere (RFC 8628), for a machine without a browser.

use std::time::Duration;

use hoop_core::Code;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use url::{Host, Url};

use super::{CLIENT, PATIENCE, late, machine};
use crate::api::Api;
use crate::failure::Failure;
use crate::output::printable;

/// What the gateway says to the beginning.
#[derive(Deserialize)]
struct Begun {
    device_code: String,
    user_code: String,
    verification_uri: String,
    expires_in: u64,
    interval: u64,
}

/// What is added to the time between two questions when they come too often (RFC 8628 §3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// Signs in, and gives what the gateway says to it.
pub(super) async fn sign_in(api: &Api) -> Result<Value, Failure> {
    let body = json!({ "client_id": CLIENT, "client_name": machine() });
    let begun: Begun = serde_json::from_value(api.post("/api/v1/auth/device", &body).await?)?;
    let (page, code) = (page(api.base(), &begun.verification_uri)?, printable(&begun.user_code));
    eprintln!("Open this page wherever you have a browser:\n\n    {page}\n\nand enter the code {code}.\n");
    let mut complete = page;
    complete.query_pairs_mut().append_pair("user_code", &code);
    eprintln!("It is filled in already at {complete}");
    let patience = Duration::from_secs(begun.expires_in).min(PATIENCE);
    timeout(patience, poll(api, &begun)).await.unwrap_or_else(|_| Err(late()))
}

async fn poll(api: &Api, begun: &Begun) -> Result<Value, Failure> {
    let body = json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "client_id": CLIENT,
        "device_code": begun.device_code,
    });
    let mut interval = Duration::from_secs(begun.interval.clamp(1, 60));
    loop {
        sleep(interval).await;
        match api.post("/api/v1/auth/token", &body).await {
            Err(failure) if failure.is(Code::AuthorizationPending) => {}
            Err(failure) if failure.is(Code::SlowDown) || failure.is(Code::Throttled) => interval += SLOWER,
            // One that starts again answers soon, and its store still has the request.
            Err(failure) if failure.is_unavailable() => interval += SLOWER,
            done => return done,
        }
    }
}

/// Where people type it in: as the gateway says, unless that is only good on its own machine.
fn page(base: &str, told: &str) -> Result<Url, Failure> {
    let told = Url::parse(told).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let told = told.filter(|url| match url.host() {
        Some(Host::Domain(name)) => name != "localhost",
        Some(Host::Ipv4(address)) => !address.is_loopback(),
        Some(Host::Ipv6(address)) => !address.is_loopback(),
        None => false,
    });
    Ok(told.map_or_else(|| Url::parse(&format!("{base}/device")), Ok)?)
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn the_page_is_one_that_people_reach() {
        let base = "https://gw.internal";
        for (told, shown) in [
            ("https://hoop.example.com/device", "https://hoop.example.com/device"),
            ("http://localhost:8009/device", "https://gw.internal/device"),
            ("http://127.0.0.1:8009/device", "https://gw.internal/device"),
            ("http://[::1]:8009/device", "https://gw.internal/device"),
            ("javascript:alert(1)", "https://gw.internal/device"),
            ("", "https://gw.internal/device"),
        ] {
            assert_eq!(page(base, told).expect("a URL").as_str(), shown, "{told}");
        }
    }
}
